"""Run a program with its own processor time for a clock: `own_time.py PROGRAM.py ARGUMENT...`.

What else runs on the machine makes a program wait, and waiting is no part of what the program does.
"""

from __future__ import annotations

import runpy
import sys
import time

if __name__ == "__main__":
    time.perf_counter, time.perf_counter_ns = time.process_time, time.process_time_ns
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
