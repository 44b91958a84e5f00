"""Time the steps from a picture file to its label, in one process: the interpreter stands beside the decoder.

`python -m benchmarks.worker.breakdown_worker JOB.json`, as worker.py, but with the program's own steps.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.worker import worker
from benchmarks.worker.worker import Job, LoadedModel
from dermpack.imaging import DEFAULT_LIMITS, Policy
from dermpack.imaging.decoding import decode_image
from dermpack.imaging.resizing import MARGIN, resize_image

PASSES = 4
STEPS = ("decode_ms", "resize_ms", "copy_ms", "invoke_ms", "whole_ms")


def break_down(job: Job) -> Job:
    return {"models": [_steps(job, model) for model in job["models"]]}


def _steps(job: Job, model: Job) -> Job:
    run = LoadedModel(job, model)
    if not run.loads():
        return {"name": model["name"], "refused": run.refused}
    taken = [_of_picture(run, Path(file)) for _ in range(PASSES) for file in job["files"]]
    counted = taken[len(job["files"]) :]  # in the first pass, files and code are paged in
    typical = {step: median(of[at] for of in counted) for at, step in enumerate(STEPS)}
    return {"name": model["name"], "rounds": len(counted), **typical}


def _of_picture(run: LoadedModel, file: Path) -> tuple[float, ...]:
    """Decode and orient; crop and resize; make the input; infer; and all of it until the label stands."""
    size, interpreter = run.model["size"], run.interpreter
    ticks = [time.perf_counter_ns()]
    image, _ = decode_image(file, limits=DEFAULT_LIMITS, at_least=MARGIN * size)
    ticks.append(time.perf_counter_ns())
    small = resize_image(image, size, policy=Policy(run.model["policy"]))
    ticks.append(time.perf_counter_ns())
    interpreter.set_tensor(run.feed.index, run.feed.table[np.asarray(small)][None])
    ticks.append(time.perf_counter_ns())
    interpreter.invoke()
    ticks.append(time.perf_counter_ns())
    _label(interpreter)
    whole = time.perf_counter_ns() - ticks[0]
    steps = (after - before for before, after in pairwise(ticks))
    return tuple(nanoseconds / 1e6 for nanoseconds in (*steps, whole))


def _label(interpreter: Any) -> int:
    return int(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).argmax())


if __name__ == "__main__":
    worker.main({"break down": break_down})
