"""Train one recipe in a process of its own: what ends that process ends nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dermpack.dataset.manifest import Split
from dermpack.errors import DermpackError, InputError
from dermpack.storage.files import cannot_write
from trainer.fitting.events import FitProgress, epoch_from
from trainer.recipe.plain_values import spelled
from trainer.recipe.recipe import Recipe
from trainer.runs.partial_run import PartialRun
from trainer.runs.preflight import check_alone

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from trainer.runs.subprocess_worker import main; main()"
)
GRACE_S = 20.0  # to leave a whole checkpoint behind, before the process is killed
MAX_LINE = 300  # characters of what the process said last
TAIL_BYTES = 4096

Process: TypeAlias = "subprocess.Popen[str]"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRequest:
    """A split that the trained network is asked about, and the file that takes its answers."""

    dataset: Path
    split: Split
    answers: Path

    def record(self) -> dict[str, str]:
        return {"dataset": str(self.dataset), "split": self.split.value, "answers": str(self.answers)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What the process is to do; a run that is there already is only asked."""

    dataset: Path
    run: Path
    recipe: Recipe
    asks: tuple[SplitRequest, ...]
    clock: Path  # keeps how many seconds were trained, over all attempts
    log: Path  # of what libraries say; stays where the process dies

    def record(self) -> dict[str, Any]:
        paths = {"dataset": self.dataset, "run": self.run, "clock": self.clock}
        return {
            **{name: str(path.absolute()) for name, path in paths.items()},
            "recipe": spelled(self.recipe),
            "asks": [ask.record() for ask in self.asks],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeStarted:
    """The turn of one of several; whoever has several of them says it."""

    name: str
    number: int  # from 1
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparingPictures:
    """Pictures are decoded for the first time."""

    pictures: int


Told: TypeAlias = RecipeStarted | FitProgress | PartialRun | PreparingPictures
Tell: TypeAlias = Callable[[Told], None]


def untold(told: Told) -> None:
    """Nobody listens."""
    del told


def train_apart(job: TrainingJob, *, tell: Tell = untold) -> None:
    """Do the job; an error is what the process could not do, or how it died.

    Where this process is interrupted, or dies, the other one leaves its checkpoint and ends too.
    """
    check_alone(job.recipe)
    refusal: DermpackError | None = None
    with _process(job) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if "what" in said:
                refusal = InputError(said["where"], said["what"], said["hint"], code=said["code"])
            else:
                tell(_told(said))
        process.wait()
    if process.returncode:
        hint = f"Read {job.log} and train with a smaller batch, size or network."
        raise InputError(job.run.name, _death(process.returncode, job.log), hint, code="training-died")
    job.log.unlink(missing_ok=True)
    if refusal is not None:
        raise refusal


@contextmanager
def _process(job: TrainingJob) -> Iterator[Process]:
    """In a session of its own: Ctrl-C comes to us alone, and we close its stdin."""
    with _log(job.log) as log:
        process = subprocess.Popen(
            [sys.executable, "-c", START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            start_new_session=True,
            env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
        )
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError):  # it died at once: its exit code says so
            process.stdin.write(json.dumps(job.record()) + "\n")
            process.stdin.flush()
        yield process
    finally:
        _end(process)


@contextmanager
def _log(path: Path) -> Iterator[Any]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            yield file
    except OSError as error:
        raise cannot_write(path, error) from error


def _end(process: Process) -> None:
    with suppress(BrokenPipeError):
        process.stdin.close()  # type: ignore[union-attr]  # a pipe, as asked for
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()  # type: ignore[union-attr]  # likewise


def _told(said: Mapping[str, Any]) -> Told:
    match said:
        case {"pictures": pictures}:
            return PreparingPictures(pictures=pictures)
        case {"planned": _}:
            return PartialRun(**said)
    ended = said["ended"] and epoch_from(said["ended"])
    return FitProgress(**{**said, "ended": ended})


def _death(code: int, log: Path) -> str:
    """Return how it ended: "the training process died (SIGKILL, possibly out of memory)"."""
    how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
    memory = ", possibly out of memory" if code == -signal.SIGKILL else ""
    said = _last_line(log)
    return f"the training process died ({how}{memory}{f': {said}' if said else ''})"


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:MAX_LINE] for line in reversed(lines) if line.strip()), "")
