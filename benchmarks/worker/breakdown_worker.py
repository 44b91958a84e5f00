"""Time the steps from a picture file to its label, in one process with the interpreter and the decoder.

`python -m benchmarks.worker.breakdown_worker JOB.json` works like worker.py, with the program's own steps.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.worker import worker
from benchmarks.worker.worker import Job, LoadedModel
from dermpack.imaging import DEFAULT_LIMITS, Policy
from dermpack.imaging.decoding import decode_image
from dermpack.imaging.preprocessing import MARGIN, resize_image

PASSES = 4
STEPS = ("decode_ms", "resize_ms", "copy_ms", "invoke_ms", "whole_ms")


def break_down(job: Job) -> Job:
    """Return the median time of each step, for every model."""
    models = []
    for model in job["models"]:
        run = LoadedModel(job, model)
        if not run.loads():
            models.append({"name": model["name"], "refused": run.refused})
            continue
        times = [_time_picture(run, Path(file)) for _ in range(PASSES) for file in job["files"]]
        counted = times[len(job["files"]) :]  # the first pass pages files and code in
        medians = {step: median(times_ms[index] for times_ms in counted) for index, step in enumerate(STEPS)}
        models.append({"name": model["name"], "rounds": len(counted), **medians})
    return {"models": models}


def _time_picture(run: LoadedModel, file: Path) -> tuple[float, ...]:
    """Return the milliseconds of each of STEPS for one picture."""
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
    # The label is part of the whole, but too fast to be a step.
    int(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).argmax())
    whole = time.perf_counter_ns() - ticks[0]
    steps = (after - before for before, after in pairwise(ticks))
    return tuple(nanoseconds / 1e6 for nanoseconds in (*steps, whole))


if __name__ == "__main__":
    worker.main({"break down": break_down})
