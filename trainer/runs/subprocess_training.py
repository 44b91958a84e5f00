"""Train one recipe in a child process: a crash or an out-of-memory error ends only that process.

The parent sends a job and receives events; the child trains, and then predicts the splits that the job lists.
The child also ends when its input is closed: the parent has ended, or wants it to stop. A checkpoint stays in
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from dermpack.dataset.manifest import Dataset, Split, read_dataset
from dermpack.errors import DermpackError, InputError
from dermpack.metrics.calibration import apply_temperature
from dermpack.processes.child_process import Channel, ChildEndedError, ChildProcess
from dermpack.storage.files import format_json, read_json, write_error, write_text
from trainer.data.array_file import write_arrays
from trainer.fitting.events import FitProgress, parse_epoch
from trainer.recipe.options import RUN_FILE
from trainer.recipe.recipe import Precision, Recipe, parse_recipe, recipe_to_options
from trainer.runs.preflight import check_single_process
from trainer.runs.run_folder import PartialRun, load_model, read_run

PARENT_GRACE_S = 20.0  # for the child to write its checkpoint before it is killed
CHILD_GRACE_S = 15.0  # for the main thread to end before the process exits
REFRESH_S = 0.2  # between two events of steps
PROBABILITIES = "probabilities"  # the array in a file of answers
MEMORY_HINT = "Use a smaller batch, size or network, or a machine with more memory."
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"

Item = TypeVar("Item")
Send: TypeAlias = Callable[[Mapping[str, Any]], None]


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
    recipe: Recipe
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


TrainingEvent: TypeAlias = RecipeStarted | FitProgress | PartialRun | PreparingPictures
EventCallback: TypeAlias = Callable[[TrainingEvent], None]


def ignore_event(event: TrainingEvent) -> None:
    """Do nothing: the default where no events are shown."""
    del event


def train_in_subprocess(job: TrainingJob, *, tell: EventCallback = ignore_event) -> None:
    """Run the job in a child process; raise its error, or InputError with how it died.

    The options must have passed `trainer.runs.preflight.check_training`. Where this process is interrupted,
    or dies, the child leaves its checkpoint and ends too.
    """
    check_single_process(job.recipe)
    error: DermpackError | None = None
    child = _start_child(job)
    try:
        child.send(json.dumps(_encode_job(job)).encode())
        for message in _receive_messages(child):
            if "what" in message:
                error = InputError(message["where"], message["what"], message["hint"], code=message["code"])
            else:
                tell(_decode_event(message))
        # The messages have ended, so the child has ended: its exit code shows whether it died.
        if child.wait():
            what = f"the training process died ({child.describe_end()})"
            hint = f"Read {job.log} and train with a smaller batch, size or network."
            raise InputError(job.run.name, what, hint, code="training-died")
    finally:
        child.close(grace_s=PARENT_GRACE_S)
    job.log.unlink(missing_ok=True)
    if error is not None:
        raise error


def main(channel: Channel) -> None:
    """Do one job in the child process; a child that was killed or crashed is reported by its exit code."""
    import tensorflow as tf

    def send(message: Mapping[str, Any]) -> None:
        channel.send(json.dumps(message).encode())

    frame = channel.receive()
    if frame is None:
        return
    job = _decode_job(json.loads(frame))
    # SystemExit unwinds the main thread, which removes half-written files; the default would not.
    signal.signal(signal.SIGTERM, lambda _signum, _frame: sys.exit(1))
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        _run_job(job, send)
    except DermpackError as error:
        send(_encode_error(error))
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        first_line = str(error).partition("\n")[0][:200]
        where, what = job.run.name, f"out of memory ({first_line})"
        send(_encode_error(InputError(where, what, MEMORY_HINT, code="out-of-memory")))


def _start_child(job: TrainingJob) -> ChildProcess:
    """Start the child in its own session: Ctrl-C reaches only the parent, which closes the child's input."""
    try:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        return ChildProcess(
            __name__,
            log=job.log,
            environment={LOG_LEVEL: os.environ.get(LOG_LEVEL, "2")},
            new_session=True,
        )
    except OSError as error:
        raise write_error(job.log, error) from error


def _receive_messages(child: ChildProcess) -> Iterator[dict[str, Any]]:
    """Yield the messages of the child until it ends."""
    while True:
        try:
            frame = child.receive()
        except ChildEndedError:
            return
        yield json.loads(frame)


def _encode_job(job: TrainingJob) -> dict[str, Any]:
    paths = {"dataset": job.dataset, "run": job.run, "clock": job.clock, "log": job.log}
    asks = [
        {"dataset": str(ask.dataset), "split": ask.split.value, "answers": str(ask.answers)}
        for ask in job.asks
    ]
    return {
        **{name: str(path.absolute()) for name, path in paths.items()},
        "recipe": recipe_to_options(job.recipe),
        "asks": asks,
    }


def _decode_job(record: Mapping[str, Any]) -> TrainingJob:
    asks = (
        SplitRequest(dataset=Path(ask["dataset"]), split=Split(ask["split"]), answers=Path(ask["answers"]))
        for ask in record["asks"]
    )
    return TrainingJob(
        dataset=Path(record["dataset"]),
        run=Path(record["run"]),
        recipe=parse_recipe(record["recipe"], where="job"),
        asks=tuple(asks),
        clock=Path(record["clock"]),
        log=Path(record["log"]),
    )


def _encode_error(error: DermpackError) -> Mapping[str, Any]:
    return {"where": error.where, "what": error.what, "hint": error.hint, "code": error.code}


def _decode_event(message: Mapping[str, Any]) -> TrainingEvent:
    match message:
        case {"pictures": pictures}:
            return PreparingPictures(pictures=pictures)
        case {"planned": _}:
            return PartialRun(**message)
    ended = message["ended"] and parse_epoch(message["ended"])
    return FitProgress(**{**message, "ended": ended})


def _run_job(job: TrainingJob, send: Send) -> None:
    """Train, unless the run exists, and write the calibrated probabilities of the requested splits."""
    from trainer.data.batches import read_examples
    from trainer.fitting.loop import predict
    from trainer.runs.train import configure_tensorflow

    def track(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:  # noqa: ARG001 - a Track
        send({"pictures": total or 0})
        return iter(items)

    recipe = job.recipe
    dataset = read_dataset(job.dataset)
    if not (job.run / RUN_FILE).is_file():
        _train(job, dataset, send, track)
    run = read_run(job.run)
    configure_tensorflow(seed=recipe.seed, threads=recipe.threads, precision=Precision.FLOAT32)
    model = load_model(run) if job.asks else None
    for ask in job.asks:
        examples = read_examples(
            read_dataset(ask.dataset),
            ask.split,
            size=run.spec.size,
            policy=run.policy,
            threads=recipe.threads,
            track=track,
        )
        # Another dataset may have other labels: the probabilities are in the order of the run's classes.
        unlabelled = replace(examples, classes=run.classes, truth=examples.truth * 0)
        raw = predict(model, unlabelled).probabilities
        write_arrays(ask.answers, {PROBABILITIES: apply_temperature(raw, run.temperature)})


def _train(job: TrainingJob, dataset: Dataset, send: Send, track: Any) -> None:
    from trainer.data.batches import read_examples
    from trainer.runs.train import POLICY, train

    recipe = job.recipe
    # Pictures are prepared before the clock starts: otherwise only the first recipe would include that time.
    for split in (Split.TRAIN, Split.VALIDATION):
        read_examples(dataset, split, size=recipe.size, policy=POLICY, threads=recipe.threads, track=track)
    previous_s = float(read_json(job.clock)["seconds"]) if job.clock.is_file() else 0.0
    began = time.monotonic()
    sent_at = 0.0

    def write_clock() -> None:
        seconds = previous_s + time.monotonic() - began
        write_text(job.clock, format_json({"seconds": round(seconds, 1)}))

    def watch(progress: FitProgress) -> None:
        nonlocal sent_at
        now = time.monotonic()
        if progress.ended is None and now - sent_at < REFRESH_S:
            return
        sent_at = now
        if progress.ended:
            write_clock()
        send(asdict(progress))

    train(dataset, job.run, recipe, watch=watch, going_on=lambda progress: send(asdict(progress)))
    write_clock()


def _exit_with_parent() -> None:
    """Wait for the end of the input, then end this process: by SIGTERM, or after the grace period."""
    while os.read(0, 1 << 12):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # the main thread unwinds, which removes half-written files
    time.sleep(CHILD_GRACE_S)
    os._exit(1)
