"""Run trials until there are enough, next to other workers that do the same.

A worker that dies leaves a trial in the state "running". Another worker detects it: on the same machine the
lock file of the dead worker is free, on another machine its heartbeat is old. The trial is then marked as
failed, and its values are tried again.
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
from dermpack.storage.locks import WORKERS_FOLDER, wait_for_turn
from trainer.experiments.search.space import Space

WORKER, ALIVE, ORIGIN, TRIAL_REASON = "worker", "alive", "origin", "reason"
HEARTBEAT_S = 20.0
SILENT_S = 300.0  # without a heartbeat, after which a worker on another machine is considered dead
HEARTBEAT_FAILURES = (optuna.exceptions.StorageInternalError, optuna.exceptions.UpdateFinishedTrialError)
MAX_TRIES = 3  # of one set of values, because the values may be what kills the worker


class PrunedTrial(Exception):  # noqa: N818 - a signal: other trials were better at the same epoch
    """The trial was pruned."""


RunTrial: TypeAlias = Callable[[Trial, Mapping[str, Any]], tuple[float, ...]]  # returns the objectives
TrialEnded: TypeAlias = Callable[[FrozenTrial], None]


def run_trials(
    study: optuna.Study,
    space: Space,
    run_trial: RunTrial,
    folder: Path,
    *,
    trials: int,
    deadline: float,
    ended: TrialEnded,
) -> None:
    """Start trials until `trials` are started by all workers or time is up; call `ended` after each."""
    name = uuid.uuid4().hex[:12]
    path = folder / WORKERS_FOLDER / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        # The system releases the lock when this process ends, however it ends: other workers detect this.
        fcntl.flock(file, fcntl.LOCK_EX)
        while time.monotonic() < deadline:
            with wait_for_turn(folder):
                restart_dead_trials(study, folder)
                if has_enough_trials(study.get_trials(deepcopy=False), trials):
                    return
                trial = study.ask()
                trial.set_user_attr(ALIVE, time.time())  # Optuna stores the start in the local time zone
                trial.set_user_attr(WORKER, name)
            # The turn ends here: other workers start their trials while this one is trained.
            with _heartbeat(trial):
                _run_one(study, trial, space, run_trial)
            trials_so_far = study.get_trials(deepcopy=False)
            ended(next(each for each in trials_so_far if each.number == trial.number))


def has_enough_trials(found: Sequence[FrozenTrial], trials: int) -> bool:
    """Return whether enough trials are finished or running, and none waits to be repeated.

    A trial that failed with its worker is not counted: its values are repeated in another trial, or were
    tried too often.
    """
    waiting = [trial for trial in found if trial.state is TrialState.WAITING]
    started = [trial for trial in found if trial not in waiting and not failed_with_worker(trial)]
    return len(started) >= trials and not waiting


def failed_with_worker(trial: FrozenTrial) -> bool:
    """Return whether the trial failed because its worker died; one that failed by itself has a reason."""
    return trial.state is TrialState.FAIL and TRIAL_REASON not in trial.user_attrs


def restart_dead_trials(study: optuna.Study, folder: Path) -> None:
    """Mark the trials of dead workers as failed, and enqueue their values again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _is_dead(trial, folder):
            try:
                study.tell(trial.number, state=TrialState.FAIL)
            except (ValueError, RuntimeError):  # another worker was faster
                continue
            # All repetitions of the same values refer to the trial in which they were tried first.
            origin = trial.user_attrs.get(ORIGIN, trial.number)
            everything = study.get_trials(deepcopy=False)
            tries = [each for each in everything if each.user_attrs.get(ORIGIN, each.number) == origin]
            if len(tries) < MAX_TRIES:
                study.enqueue_trial(trial.params, user_attrs={ORIGIN: origin})


def _is_dead(trial: FrozenTrial, folder: Path) -> bool:
    """Return whether the worker of a running trial died: by its lock file here, else by its heartbeat."""
    name = str(trial.user_attrs.get(WORKER, ""))
    lock = folder / WORKERS_FOLDER / f"{name}.lock"
    if name and lock.is_file():
        # The worker is on this machine, and the system releases its lock when it dies.
        with lock.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True
    # The worker is on another machine, whose locks are not visible here: only its heartbeat is.
    started = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - float(trial.user_attrs.get(ALIVE, started)) > SILENT_S


def _run_one(study: optuna.Study, trial: Trial, space: Space, run_trial: RunTrial) -> None:
    """Run a trial and store its state; after an interruption it stays "running" and is repeated later."""
    try:
        values = run_trial(trial, space.sample(trial))
    except PrunedTrial:
        study.tell(trial, state=TrialState.PRUNED)
        return
    except DermpackError as error:
        trial.set_user_attr(TRIAL_REASON, f"{error.where.rpartition('/')[2]}: {error.what}. {error.hint}")
        study.tell(trial, state=TrialState.FAIL)
        return
    except optuna.exceptions.UpdateFinishedTrialError:  # our heartbeat was late, and another worker has it
        return
    study.tell(trial, list(values), skip_if_finished=True)


@contextmanager
def _heartbeat(trial: Trial) -> Iterator[None]:
    """Update the heartbeat of the trial during the block, for workers on other machines."""
    end = threading.Event()

    def update() -> None:
        while not end.wait(HEARTBEAT_S):
            with suppress(*HEARTBEAT_FAILURES):
                trial.set_user_attr(ALIVE, time.time())

    thread = threading.Thread(target=update, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
