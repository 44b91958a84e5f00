"""Train one recipe in a child process: a crash or an out-of-memory error ends only that process.

The parent sends a job and receives events; the child trains, and then predicts the splits that the job lists.
The child also ends when its input is closed: the parent has ended, or stops it. A checkpoint stays in
both cases, so that the same job resumes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from dermpack.dataset.manifest import Dataset, Split, read_dataset
from dermpack.dataset.views import label_by_column
from dermpack.errors import DermpackError, InputError, OutputError, escape_unprintable
from dermpack.metrics.calibration import apply_temperature
from dermpack.processes.child_process import Channel, ChildEndedError, ChildProcess
from dermpack.progress import ignore
from dermpack.storage.codec import decode, encode
from dermpack.storage.files import format_json, read_json, report_write_errors, write_text
from trainer.data.array_file import write_arrays
from trainer.fitting.events import FitProgress
from trainer.recipe.network_spec import Arch
from trainer.recipe.recipe import Precision, Recipe, parse_recipe
from trainer.runs import RUN_FILE
from trainer.runs.run_folder import PartialRun, load_model, read_run, wait_for_other_training

PARENT_GRACE_S = 20.0  # for the child to write its checkpoint before it is killed
CHILD_GRACE_S = 15.0  # for the main thread to end before the process exits
REFRESH_S = 0.2  # between two events of steps
PROBABILITIES = "probabilities"  # the array in a file of answers
MEMORY_HINT = "Use a smaller batch, size or network, or a machine with more memory."
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRequest:
    """A split that the trained network predicts, and the file for the answers."""

    dataset: Path
    split: Split
    answers: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """The work of one child process; a run that exists already is not trained again."""

    dataset: Path
    run: Path
    options: Mapping[str, Any]  # of the recipe
    asks: tuple[SplitRequest, ...]
    clock: Path  # the file with the seconds of training, over all attempts
    log: Path  # of what libraries print; it stays where the process dies


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeStarted:
    """The start of one of several trainings; the caller that runs several sends it."""

    name: str
    number: int  # from 1
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparingPictures:
    """Pictures are decoded for the first time."""

    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFailed:
    """The last message of a child whose training failed: the fields of the error."""

    where: str
    what: str
    hint: str
    code: str
    is_output: bool  # an OutputError, which the recipe does not cause


TrainingEvent: TypeAlias = RecipeStarted | FitProgress | PartialRun | PreparingPictures
EventCallback: TypeAlias = Callable[[TrainingEvent], None]
MESSAGES = {kind.__name__: kind for kind in (FitProgress, PartialRun, PreparingPictures, TrainingFailed)}


def train_in_subprocess(job: TrainingJob, *, on_event: EventCallback = ignore) -> None:
    """Run the job in a child process; raise its error, or InputError with how it died.

    The options must have passed `trainer.runs.preflight.check_training`. Where this process is interrupted,
    or dies, the child leaves its checkpoint and ends too.
    """
    failure: TrainingFailed | None = None
    # The child of a command that was killed may still write its checkpoint, from which this one resumes.
    wait_for_other_training(job.run, most_s=PARENT_GRACE_S)
    with report_write_errors(job.log):
        job.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {LOG_LEVEL: os.environ.get(LOG_LEVEL, "2")}
        # In its own session, Ctrl-C reaches only the parent, which closes the child's input.
        # SIGTERM, because the child removes half-written files; it ends itself if that takes long.
        child = ChildProcess(
            __name__,
            log=job.log,
            environment=environment,
            new_session=True,
            death_signal=signal.SIGTERM,
        )
    try:
        child.send(json.dumps(encode(job)).encode())
        for message in _receive_messages(child):
            if isinstance(message, TrainingFailed):
                failure = message
            else:
                on_event(message)
        # The messages have ended, so the child has ended: its exit code shows whether it died.
        if child.wait():
            what = f"the training process died ({child.describe_end()})"
            hint = f"Read {job.log} and train with a smaller batch, size or network."
            raise InputError(job.run.name, what, hint, code="training-died")
    finally:
        child.close(grace_s=PARENT_GRACE_S)
    job.log.unlink(missing_ok=True)
    if failure is not None:
        kind = OutputError if failure.is_output else InputError
        raise kind(failure.where, failure.what, failure.hint, code=failure.code)


def main(channel: Channel) -> None:
    """Do one job in the child process; a child that was killed or crashed is reported by its exit code."""

    def send(message: TrainingEvent | TrainingFailed) -> None:
        channel.send(json.dumps({type(message).__name__: encode(message)}).encode())

    frame = channel.receive()
    if frame is None:
        return
    job = decode(TrainingJob, json.loads(frame))
    # Nothing is written while TensorFlow is imported, so SIGTERM ends the process at once until then.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    import tensorflow as tf

    # SystemExit unwinds the main thread, which removes half-written files; the default would not.
    signal.signal(signal.SIGTERM, lambda _signum, _frame: sys.exit(1))
    error: DermpackError
    try:
        _run_job(job, send)
        return
    except DermpackError as raised:
        error = raised
    except (MemoryError, tf.errors.ResourceExhaustedError) as raised:
        first_line = str(raised).partition("\n")[0][:200]
        what = f"out of memory ({first_line})"
        error = InputError(job.run.name, what, MEMORY_HINT, code="out-of-memory")
    # The name of a file need not be UTF-8, but the text of a message must be.
    where, what, hint = map(escape_unprintable, (error.where, error.what, error.hint))
    is_output = isinstance(error, OutputError)
    send(TrainingFailed(where=where, what=what, hint=hint, code=error.code, is_output=is_output))


def _receive_messages(child: ChildProcess) -> Iterator[Any]:
    """Yield the messages of the child until it ends."""
    with suppress(ChildEndedError):
        while True:
            ((name, values),) = json.loads(child.receive()).items()
            yield decode(MESSAGES[name], values)


def _run_job(job: TrainingJob, send: EventCallback) -> None:
    """Train, unless the run exists, and write the calibrated probabilities of the requested splits."""
    from trainer.data.examples import read_examples
    from trainer.fitting.loop import predict
    from trainer.runs.train import POLICY, configure_tensorflow

    def track(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:  # noqa: ARG001 - a Track
        send(PreparingPictures(pictures=total or 0))
        return iter(items)

    recipe = parse_recipe(job.options, where="job")
    dataset = label_by_column(read_dataset(job.dataset), recipe.label)
    read_pictures = partial(read_examples, size=recipe.size, threads=recipe.threads, track=track)
    if not (job.run / RUN_FILE).is_file():
        has_pictures = recipe.arch is not Arch.METADATA
        # Before the clock starts: otherwise only the first recipe would include this time.
        for split in (Split.TRAIN, Split.VALIDATION):
            read_pictures(dataset, split, policy=POLICY, has_pictures=has_pictures)
        _train(job, dataset, recipe, send)
    run = read_run(job.run)
    configure_tensorflow(seed=recipe.seed, threads=recipe.threads, precision=Precision.FLOAT32)
    model = load_model(run) if job.asks else None
    for ask in job.asks:
        examples = read_pictures(
            label_by_column(read_dataset(ask.dataset), recipe.label),
            ask.split,
            size=run.spec.size,
            policy=run.policy,
            columns=run.spec.columns,
            has_pictures=run.spec.has_picture,
        )
        # Another dataset may have other labels: the probabilities are in the order of the run's classes.
        unlabelled = replace(examples, classes=run.classes, truth=examples.truth * 0)
        raw = predict(model, unlabelled).probabilities
        write_arrays(ask.answers, {PROBABILITIES: apply_temperature(raw, run.temperature)})


def _train(job: TrainingJob, dataset: Dataset, recipe: Recipe, send: EventCallback) -> None:
    from trainer.runs.train import train

    previous_s = float(read_json(job.clock)["seconds"]) if job.clock.is_file() else 0.0
    began = time.monotonic()
    sent_at = 0.0

    def write_clock() -> None:
        seconds = previous_s + time.monotonic() - began
        write_text(job.clock, format_json({"seconds": round(seconds, 1)}))

    def on_progress(progress: FitProgress) -> None:
        nonlocal sent_at
        now = time.monotonic()
        if progress.ended is None and now - sent_at < REFRESH_S:
            return
        sent_at = now
        if progress.ended:
            write_clock()
        send(progress)

    train(dataset, job.run, recipe, on_progress=on_progress, on_resume=send)
    write_clock()


def _exit_with_parent() -> None:
    """Wait for the end of the input, then end this process: by SIGTERM, or after the grace period."""
    while os.read(0, 1 << 12):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # the main thread unwinds, which removes half-written files
    time.sleep(CHILD_GRACE_S)
    os._exit(1)
