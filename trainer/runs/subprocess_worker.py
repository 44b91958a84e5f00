"""The process that trains one recipe: a job on stdin, what happens on stdout, a line each.

It ends when its stdin does, with a whole checkpoint: whoever started it has gone, or wants it to go.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import tensorflow as tf

from dermpack.dataset.manifest import Dataset, Split, read_dataset
from dermpack.errors import DermpackError, InputError
from dermpack.metrics.calibration import apply_temperature
from dermpack.storage.files import json_text, read_json, write_text
from trainer.data.array_file import write_arrays
from trainer.data.batches import read_examples
from trainer.fitting.events import FitProgress
from trainer.fitting.loop import predict
from trainer.fitting.tensorflow_setup import set_up
from trainer.recipe.recipe import RUN_FILE, Precision, Recipe, recipe_from
from trainer.runs.partial_run import PartialRun
from trainer.runs.run_folder import Run, load_model, read_run
from trainer.runs.train import train
from trainer.runs.training import POLICY

PROBABILITIES = "probabilities"
GRACE_S = 15.0
REFRESH_S = 0.2  # between two steps that are told
SMALLER = "Use a smaller batch, size or network, or a machine with more memory."

Item = TypeVar("Item")
Say = Callable[[Mapping[str, Any]], None]


def main() -> None:
    """Do one job; exit 0 where it is done."""
    say = _sayer(_private_stdout())
    job = json.loads(sys.stdin.readline() or "null")
    if job is None:
        return
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        _work(job, say)
    except DermpackError as error:
        say(_refusal(error))
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        first = str(error).partition("\n")[0][:200]
        where, what = Path(job["run"]).name, f"out of memory ({first})"
        say(_refusal(InputError(where, what, SMALLER, code="out-of-memory")))


def _refusal(error: DermpackError) -> Mapping[str, Any]:
    return {"where": error.where, "what": error.what, "hint": error.hint, "code": error.code}


def _work(job: Mapping[str, Any], say: Say) -> None:
    run, dataset = Path(job["run"]), read_dataset(Path(job["dataset"]))
    recipe = recipe_from(job["recipe"], where="job")
    if not (run / RUN_FILE).is_file():
        _train(dataset, run, recipe, clock=Path(job["clock"]), say=say)
    trained = read_run(run)
    set_up(seed=recipe.seed, threads=recipe.threads, precision=Precision.FLOAT32)
    model = load_model(trained) if job["asks"] else None
    for ask in job["asks"]:
        asked = read_dataset(Path(ask["dataset"]))
        found = _answers(model, trained, asked, Split(ask["split"]), threads=recipe.threads, say=say)
        write_arrays(Path(ask["answers"]), {PROBABILITIES: found})


def _train(dataset: Dataset, run: Path, recipe: Recipe, *, clock: Path, say: Say) -> None:
    """Pictures are prepared before the clock starts: the first recipe alone would pay for it."""
    for split in (Split.TRAIN, Split.VALIDATION):
        read_examples(
            dataset, split, size=recipe.size, policy=POLICY, threads=recipe.threads, track=_tracker(say)
        )
    stopwatch = _Stopwatch(clock)
    watch = _watcher(say, stopwatch)
    train(dataset, run, recipe, watch=watch, going_on=lambda left: say(_left(left)))
    stopwatch.keep()


def _answers(
    model: Any, run: Run, dataset: Dataset, split: Split, *, threads: int, say: Say
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Calibrated probabilities [n, k] in the order of the run's classes."""
    examples = read_examples(
        dataset, split, size=run.spec.size, policy=run.policy, threads=threads, track=_tracker(say)
    )
    blank = replace(examples, classes=run.classes, truth=np.zeros_like(examples.truth))
    return apply_temperature(predict(model, blank).probabilities, run.temperature)


class _Stopwatch:
    """Seconds of this attempt on top of those before, kept at the end of each epoch."""

    def __init__(self, path: Path) -> None:
        self.path, self.began = path, time.monotonic()
        self.before = float(read_json(path)["seconds"]) if path.is_file() else 0.0

    def keep(self) -> None:
        seconds = self.before + time.monotonic() - self.began
        write_text(self.path, json_text({"seconds": round(seconds, 1)}))


def _watcher(say: Say, stopwatch: _Stopwatch) -> Callable[[FitProgress], None]:
    told_at = 0.0

    def watch(moment: FitProgress) -> None:
        nonlocal told_at
        now = time.monotonic()
        if moment.ended is None and now - told_at < REFRESH_S:
            return
        told_at = now
        if moment.ended:
            stopwatch.keep()
        say(asdict(moment))

    return watch


def _tracker(say: Say) -> Any:
    """A Track that says once how much there is to do."""

    def track(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:  # noqa: ARG001 - a Track
        say({"pictures": total or 0})
        return iter(items)

    return track


def _left(left: PartialRun) -> dict[str, Any]:
    return {"phase": left.phase, "epochs": left.epochs, "planned": left.planned}


def _private_stdout() -> IO[str]:
    """Whatever a library prints goes to stderr, and never between two lines."""
    private = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return private


def _sayer(stream: IO[str]) -> Say:
    def say(what: Mapping[str, Any]) -> None:
        print(json.dumps(what), file=stream, flush=True)

    return say


def _end_with_stdin() -> None:
    while os.read(0, 1 << 12):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # the main thread unwinds: half-written files are removed
    time.sleep(GRACE_S)
    os._exit(1)


def _leave(signum: int, frame: object) -> None:
    del signum, frame
    sys.exit(1)
