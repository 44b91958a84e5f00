"""Convert a run to int8, and time what comes out on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

from dermpack.errors import InputError

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from dermpack.cli import main; sys.exit(main(sys.argv[2:]))"
)
ANY_DROP = "100"  # points: how much is lost is a question for the best ones


def int8_latency_ms(run: Path) -> float:
    """The median of one thread with XNNPACK; the export is removed again."""
    from benchmarks.models import read_models
    from benchmarks.protocol.plan import BenchmarkPlan
    from benchmarks.targets.host import HostTarget
    from dermpack.inference import Kernels, first_installed

    export = run.with_name("export")
    shutil.rmtree(export, ignore_errors=True)
    try:
        _convert(run, export)
        plan = BenchmarkPlan(
            models=read_models([export]),
            runtimes=[first_installed().package],
            threads=[1],
            kernels=[Kernels.XNNPACK],
        )
        timed = HostTarget().measure(plan).timed
    finally:
        shutil.rmtree(export, ignore_errors=True)
    if not timed:
        what = "its int8 file does not run on this machine"
        hint = 'Run "dermpack benchmark" on the export to see why.'
        raise InputError(run.name, what, hint, code="latency-not-measured")
    return median(timed[0].rounds_ms)


def _convert(run: Path, export: Path) -> None:
    """In a process of its own: the search itself needs no TensorFlow."""
    options = ("--int8", "--method", "ptq", "--max-drop", ANY_DROP, "--quiet")
    command = [
        sys.executable,
        "-c",
        START,
        json.dumps(sys.path),
        "convert",
        str(run),
        "-o",
        str(export),
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no output"]
        what = f"cannot be converted to int8 ({lines[-1][:300]})"
        raise InputError(run.name, what, 'Run "dermpack convert" to see why.', code="conversion-failed")
