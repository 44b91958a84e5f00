"""Run a Python program whose clock is its own processor time: `own_time.py PROGRAM.py ARGUMENT...`.

Other work on the machine makes a program wait, and this clock does not count the waiting.
"""

from __future__ import annotations

import runpy
import sys
import time

if __name__ == "__main__":
    time.perf_counter, time.perf_counter_ns = time.process_time, time.process_time_ns
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
