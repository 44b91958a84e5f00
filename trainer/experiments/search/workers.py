"""Run the trials of a search until there are enough, next to other workers that do the same.

A worker that dies leaves a trial in the state "running". Another worker detects it: on the same machine the
lock file of the dead worker is free, on another machine its heartbeat is old. The trial is then marked as
failed, and its values are tried again. The repetition resumes the training, and has the trial's position: an
interrupted search gives what an undisturbed one gives.
"""

from __future__ import annotations

import fcntl
import math
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from dermpack.errors import DermpackError, InputError, OutputError
from dermpack.storage.shared_folders import WORKERS_FOLDER, wait_for_turn
from trainer.experiments.runner import ExperimentRun, run_recipe
from trainer.experiments.search.space import SearchGoal, Space, apply_sample
from trainer.experiments.search.storage import ORIGIN, order_trials
from trainer.fitting.events import Epoch, FitProgress
from trainer.runs.preflight import check_training
from trainer.runs.run_folder import read_epochs, read_run, wait_for_other_training
from trainer.runs.subprocess_training import PARENT_GRACE_S, EventCallback, RecipeStarted, TrainingEvent

WORKER, ALIVE, TRIAL_REASON = "worker", "alive", "reason"
INTERRUPTED = "interrupted"  # the attribute of a trial whose worker ended by itself
HEARTBEAT_S = 20.0
SILENT_S = 300.0  # without a heartbeat, after which a worker on another machine is considered dead
HEARTBEAT_FAILURES = (optuna.exceptions.StorageInternalError, optuna.exceptions.UpdateFinishedTrialError)
MAX_TRIES = 3  # of one set of values that end with a killed worker: the values may be what kills it
SECONDS, RECIPE, SAME_AS, WEIGHTS = "seconds", "recipe", "same_as", "weights_sha256"
TRIALS = "trials"
SECOND_PHASE = "fine-tuning"  # as trainer.fitting.phases names it
MeasureLatency: TypeAlias = Callable[[Path], float]  # a run folder → milliseconds of its int8 export
RunTrial: TypeAlias = Callable[[Trial, Mapping[str, Any]], tuple[float, ...]]  # returns the objectives


def run_trials(
    study: optuna.Study,
    space: Space,
    run_trial: RunTrial,
    folder: Path,
    *,
    trials: int,
    deadline: float,
    on_trial_end: Callable[[], object],
) -> None:
    """Start trials until all workers have started `trials`, or time is up; call `on_trial_end` after each."""
    name = uuid.uuid4().hex[:12]
    path = folder / WORKERS_FOLDER / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        # The system releases the lock when this process ends, however it ends: other workers detect this.
        fcntl.flock(file, fcntl.LOCK_EX)
        while time.monotonic() < deadline:
            with wait_for_turn(folder):
                own = {WORKER: name, ALIVE: time.time()}
                restart_dead_trials(study, folder, own)
                if has_enough_trials(study.get_trials(deepcopy=False), trials):
                    return
                if not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                    # A trial has a worker from its beginning: one without would never be found dead.
                    study.enqueue_trial({}, user_attrs=own)
                trial = study.ask()
                trial.set_user_attr(ALIVE, time.time())  # Optuna stores the start in the local time zone
                trial.set_user_attr(WORKER, name)
            # The turn ends here: other workers start their trials while this one is trained.
            with _heartbeat(trial):
                _run_one(study, trial, space, run_trial)
            on_trial_end()


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


def restart_dead_trials(study: optuna.Study, folder: Path, own: Mapping[str, Any]) -> None:
    """Mark the trials of dead workers as failed, and enqueue their values again, at first for this worker."""
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
            if sum(INTERRUPTED not in each.user_attrs for each in tries) < MAX_TRIES:
                # Without a recipe, not all values were drawn: the same seed draws all of them again.
                drawn = trial.params if RECIPE in trial.user_attrs else {}
                study.enqueue_trial(drawn, user_attrs={**own, ORIGIN: origin})


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
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
        return
    except (KeyboardInterrupt, OutputError):  # SIGTERM is one too; the recipe does not cause a full disk
        with suppress(*HEARTBEAT_FAILURES):
            trial.set_user_attr(INTERRUPTED, True)
        raise
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


def train_trial(
    trial: Trial,
    values: Mapping[str, Any],
    *,
    study: optuna.Study,
    goal: SearchGoal,
    folder: Path,
    trials: int,
    latency: MeasureLatency | None,
    on_event: EventCallback,
) -> tuple[float, ...]:
    """Train the recipe with the sampled values, and return the figures of the objectives."""
    recipe, figure = apply_sample(values, goal.recipe), goal.objective.figure
    place = trial_folder(trial, folder)
    trial.set_user_attr(RECIPE, recipe.record())
    position = order_trials(study.get_trials(deepcopy=False))[trial.number]
    on_event(RecipeStarted(name=f"trial {position}", number=position + 1, of=trials))
    # Training is deterministic, so a trial with the same recipe has the same result.
    for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if other.user_attrs.get(RECIPE) == recipe.record() and other.values:
            trial.set_user_attr(SAME_AS, other.user_attrs.get(SAME_AS, other.number))
            return tuple(other.values)
    files = ExperimentRun(run=place / "run", state=place)
    check_training(goal.dataset, files.run, recipe, overwrite=True)
    prunes = latency is None
    pruner = TrialPruner(
        trial=trial, figure=figure, head_epochs=recipe.head_epochs, prunes=prunes, on_event=on_event
    )
    try:
        # A repetition resumes the training of its origin: the pruner compares the same epochs.
        wait_for_other_training(files.run, most_s=PARENT_GRACE_S)
        for phase, epoch in read_epochs(files.run):
            pruner.add_epoch(phase, epoch)
        run_recipe(files, recipe, goal.dataset, on_event=pruner)
    except optuna.TrialPruned:
        # The clock is in the folder, so its time is stored before the folder is removed.
        _record_seconds(trial, files)
        shutil.rmtree(place, ignore_errors=True)
        raise
    _record_seconds(trial, files)
    run = read_run(files.run)
    trial.set_user_attr(WEIGHTS, run.weights_sha256)
    reached = float(run.validation[figure])
    if math.isnan(reached):
        what = f"{figure} is undefined on the validation split"
        hint = "Import the dataset with a larger validation share."
        raise InputError(place.name, what, hint, code="split-too-small")
    return (reached, latency(files.run)) if latency else (reached,)


def _record_seconds(trial: Trial, files: ExperimentRun) -> None:
    if files.clock.is_file():
        trial.set_user_attr(SECONDS, files.training_seconds())


def trial_folder(trial: Trial | FrozenTrial, folder: Path) -> Path:
    """Return the folder of a trial's run; a repeated trial resumes in the folder of the original one."""
    return folder / TRIALS / str(trial.user_attrs.get(ORIGIN, trial.number))


@dataclass(slots=True, kw_only=True)
class TrialPruner:
    """Report each epoch to Optuna, counted over both phases; raise optuna.TrialPruned if Optuna prunes it."""

    trial: Trial
    figure: str
    head_epochs: int
    prunes: bool
    on_event: EventCallback
    best: float = float("-inf")

    def __call__(self, event: TrainingEvent) -> None:
        self.on_event(event)
        match event:
            case FitProgress(name=phase, ended=Epoch() as epoch):
                self.add_epoch(phase, epoch)

    def add_epoch(self, phase: str, epoch: Epoch) -> None:
        """Report a finished epoch; raise optuna.TrialPruned if the trial is worse than most others there."""
        if not self.prunes:
            return
        # Training keeps its best epoch, so a trial is compared by the best figure so far.
        self.best = max(self.best, epoch.validation[self.figure])
        step = epoch.number + (self.head_epochs if phase == SECOND_PHASE else 0)
        self.trial.report(self.best, step=step)
        if self.trial.should_prune():
            raise optuna.TrialPruned
