"""Try recipe after recipe until there are enough, beside other workers that do the same.

A worker that dies leaves a trial that is running and will never end. Another worker, or the same one
started again, sees that the file it held is free, or, on another machine, that it has not said for long that
it lives; the trial then fails, and its values are tried again.
"""

from __future__ import annotations

import fcntl
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from dermpack.errors import DermpackError
from trainer.experiments.search.folder_lock import WORKERS, turn
from trainer.experiments.search.space import Space

WORKER, ALIVE, ORIGIN, REASON = "worker", "alive", "origin", "reason"
BEAT_S = 20.0
SILENT_S = 300.0  # of a worker on another machine, before it is taken for dead
NOT_NOW = (optuna.exceptions.StorageInternalError, optuna.exceptions.UpdateFinishedTrialError)
MOST_TRIES = 3  # of one set of values whose worker died: they may be what it dies of


class PrunedTrial(Exception):  # noqa: N818 - no error: other trials were better at the same epoch
    """The trial is given up."""


Attempt: TypeAlias = Callable[[Trial, Mapping[str, Any]], tuple[float, ...]]  # in the order of objectives
Ended: TypeAlias = Callable[[FrozenTrial], None]


def search(
    study: optuna.Study,
    space: Space,
    attempt: Attempt,
    folder: Path,
    *,
    trials: int,
    deadline: float,
    ended: Ended,
) -> None:
    """Begin trials as long as fewer than so many are begun and time is left; call `ended` after each."""
    with _worker(folder) as name:
        while time.monotonic() < deadline:
            with turn(folder):
                revive(study, folder)
                if is_enough(study.get_trials(deepcopy=False), trials):
                    return
                trial = study.ask()
                trial.set_user_attr(ALIVE, time.time())  # its start is in the hours of this machine's zone
                trial.set_user_attr(WORKER, name)
            with _heart(trial):
                _try(study, trial, space, attempt)
            ended(_frozen(study, trial.number))


def is_enough(found: Sequence[FrozenTrial], trials: int) -> bool:
    """Trials that ended, and that somebody is at; a dead worker's trial is counted where it is repeated."""
    begun = [of for of in found if of.state is not TrialState.WAITING and not _is_given_up(of)]
    waiting = [of for of in found if of.state is TrialState.WAITING]
    return len(begun) >= trials and not waiting


def revive(study: optuna.Study, folder: Path) -> None:
    """Fail the trials of dead workers, and have their values tried again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _is_dead(trial, folder):
            try:
                study.tell(trial.number, state=TrialState.FAIL)
            except (ValueError, RuntimeError):  # another worker was quicker
                continue
            _again(study, trial)


def _again(study: optuna.Study, trial: FrozenTrial) -> None:
    origin = trial.user_attrs.get(ORIGIN, trial.number)
    tries = [of for of in study.get_trials(deepcopy=False) if of.user_attrs.get(ORIGIN, of.number) == origin]
    if len(tries) < MOST_TRIES:
        study.enqueue_trial(trial.params, user_attrs={ORIGIN: origin})


def _is_given_up(trial: FrozenTrial) -> bool:
    """Failed with its worker, not by itself: its values stand in another trial, or killed too many."""
    return trial.state is TrialState.FAIL and REASON not in trial.user_attrs


def _is_dead(trial: FrozenTrial, folder: Path) -> bool:
    name = str(trial.user_attrs.get(WORKER, ""))
    lock = folder / WORKERS / f"{name}.lock"
    if name and lock.is_file():
        with lock.open("r+") as file:
            return _is_free(file)
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - float(trial.user_attrs.get(ALIVE, begun)) > SILENT_S


def _is_free(file: Any) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try(study: optuna.Study, trial: Trial, space: Space, attempt: Attempt) -> None:
    """Whatever comes of it, the trial ends; but where we are interrupted it is left to be tried again."""
    try:
        values = attempt(trial, space.drawn(trial))
    except PrunedTrial:
        study.tell(trial, state=TrialState.PRUNED)
        return
    except DermpackError as error:
        trial.set_user_attr(REASON, f"{error.where.rpartition('/')[2]}: {error.what}. {error.hint}")
        study.tell(trial, state=TrialState.FAIL)
        return
    except optuna.exceptions.UpdateFinishedTrialError:  # we were silent for so long that another took it over
        return
    study.tell(trial, list(values), skip_if_finished=True)


def _frozen(study: optuna.Study, number: int) -> FrozenTrial:
    return next(of for of in study.get_trials(deepcopy=False) if of.number == number)


@contextmanager
def _worker(folder: Path) -> Iterator[str]:
    """Our name, held by a lock as long as we live."""
    name = uuid.uuid4().hex[:12]
    path = folder / WORKERS / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield name


@contextmanager
def _heart(trial: Trial) -> Iterator[None]:
    """Say from time to time that we live, for workers on other machines."""
    end = threading.Event()

    def beat() -> None:
        while not end.wait(BEAT_S):
            with suppress(*NOT_NOW):
                trial.set_user_attr(ALIVE, time.time())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
