"""One trial of a search: train its recipe, prune it if others were better, and return its figures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from dermpack.errors import InputError
from trainer.experiments.runner import ExperimentRun, train_recipe
from trainer.experiments.search.space import SearchGoal, apply_sample
from trainer.experiments.search.workers import ORIGIN, PrunedTrial
from trainer.fitting.events import Epoch, FitProgress
from trainer.runs.preflight import check_training
from trainer.runs.run_folder import read_run
from trainer.runs.subprocess_training import EventCallback, RecipeStarted, TrainingEvent

SECONDS, RECIPE, SAME_AS, WEIGHTS = "seconds", "recipe", "same_as", "weights_sha256"
TRIALS = "trials"
SECOND_PHASE = "fine-tuning"  # as trainer.fitting.phases names it
MeasureLatency: TypeAlias = Callable[[Path], float]  # a run folder → milliseconds of its int8 export


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSetup:
    """How a trial is run; calling it with the sampled values returns the figures of the objectives."""

    study: optuna.Study
    wanted: SearchGoal
    folder: Path
    trials: int
    latency: MeasureLatency | None
    tell: EventCallback

    def __call__(self, trial: Trial, values: Mapping[str, Any]) -> tuple[float, ...]:
        recipe = apply_sample(values, self.wanted.recipe)
        place = trial_folder(trial, self.folder)
        trial.set_user_attr(RECIPE, recipe.record())
        self.tell(RecipeStarted(name=f"trial {trial.number}", number=trial.number + 1, of=self.trials))
        # Training is deterministic, so a trial with the same recipe has the same result.
        for other in self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if other.user_attrs.get(RECIPE) == recipe.record() and other.values:
                trial.set_user_attr(SAME_AS, other.user_attrs.get(SAME_AS, other.number))
                return tuple(other.values)
        check_training(self.wanted.dataset, place / "run", recipe, overwrite=True)
        files = ExperimentRun(run=place / "run", state=place)
        pruner = TrialPruner(
            trial=trial,
            figure=self.wanted.objective.figure,
            head_epochs=recipe.head_epochs,
            prunes=self.latency is None,
            tell=self.tell,
        )
        try:
            train_recipe(files, recipe, self.wanted.dataset, tell=pruner)
        except PrunedTrial:
            # The clock is in the folder, so its time is stored before the folder is removed.
            _record_seconds(trial, files)
            shutil.rmtree(place, ignore_errors=True)
            raise
        _record_seconds(trial, files)
        run = read_run(place / "run")
        trial.set_user_attr(WEIGHTS, run.weights_sha256)
        figure = self.wanted.objective.figure
        reached = float(run.validation[figure])
        if reached != reached:
            what = f"{figure} is undefined on the validation split"
            hint = "Import the dataset with a larger validation share."
            raise InputError(place.name, what, hint, code="split-too-small")
        return (reached, self.latency(place / "run")) if self.latency else (reached,)


def _record_seconds(trial: Trial, files: ExperimentRun) -> None:
    if files.clock.is_file():
        trial.set_user_attr(SECONDS, files.training_seconds())


def trial_folder(trial: Trial | FrozenTrial, folder: Path) -> Path:
    """Return the folder of a trial's run; a repeated trial resumes in the folder of the original one."""
    return folder / TRIALS / str(trial.user_attrs.get(ORIGIN, trial.number))


@dataclass(slots=True, kw_only=True)
class TrialPruner:
    """Report each epoch to Optuna, counted over both phases; raise PrunedTrial if Optuna prunes it."""

    trial: Trial
    figure: str
    head_epochs: int
    prunes: bool
    tell: EventCallback
    best: float = float("-inf")

    def __call__(self, event: TrainingEvent) -> None:
        self.tell(event)
        match event:
            case FitProgress(name=name, epoch=epoch, ended=Epoch(validation=figures)) if self.prunes:
                # Training keeps its best epoch, so a trial is compared by the best figure so far.
                self.best = max(self.best, figures[self.figure])
                self.trial.report(self.best, step=epoch + (self.head_epochs if name == SECOND_PHASE else 0))
                if self.trial.should_prune():
                    raise PrunedTrial
