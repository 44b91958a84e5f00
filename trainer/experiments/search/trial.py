"""Train the recipe of one trial, and give it up where others were better at the same epoch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from dermpack.errors import InputError
from dermpack.storage.files import read_json
from trainer.experiments.search.objective import SearchGoal
from trainer.experiments.search.search import ORIGIN, PrunedTrial
from trainer.experiments.search.space import recipe_of
from trainer.fitting.events import Epoch, FitProgress
from trainer.recipe.recipe import Recipe
from trainer.runs.preflight import check_asked
from trainer.runs.run_folder import read_run
from trainer.runs.subprocess_training import RecipeStarted, Tell, Told, TrainingJob, train_apart

SECONDS, RECIPE, SAME_AS, WEIGHTS = "seconds", "recipe", "same_as", "weights_sha256"
TRIALS = "trials"
SECOND_PHASE = "fine-tuning"  # as `trainer.fitting.phases` calls it
Latency: TypeAlias = Callable[[Path], float]  # a run folder → milliseconds of its int8 export


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSetup:
    """How a trial is tried: for what, where its run lies, and who hears of it."""

    study: optuna.Study
    wanted: SearchGoal
    folder: Path
    trials: int
    latency: Latency | None
    tell: Tell

    def __call__(self, trial: Trial, values: Mapping[str, Any]) -> tuple[float, ...]:
        """The figures of the trial, in the order of the objectives."""
        recipe = recipe_of(values, self.wanted.recipe)
        place = place_of(trial, self.folder)
        trial.set_user_attr(RECIPE, recipe.record())
        self.tell(RecipeStarted(name=f"trial {trial.number}", number=trial.number + 1, of=self.trials))
        if (known := self._known(trial, recipe)) is not None:
            return known
        check_asked(self.wanted.dataset, place / "run", recipe, overwrite=True)
        self._train(trial, recipe, place)
        run = read_run(place / "run")
        trial.set_user_attr(WEIGHTS, run.weights_sha256)
        reached = float(run.validation[self.wanted.objective.figure])
        if reached != reached:
            what = f"{self.wanted.objective.figure} is undefined on the validation split"
            hint = "Import the dataset with a larger validation share."
            raise InputError(place.name, what, hint, code="split-too-small")
        return (reached, self.latency(place / "run")) if self.latency else (reached,)

    def _known(self, trial: Trial, recipe: Recipe) -> tuple[float, ...] | None:
        """The figures of a trial of the very same recipe: nothing would come out of it but the same."""
        for other in self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if other.user_attrs.get(RECIPE) == recipe.record() and other.values:
                trial.set_user_attr(SAME_AS, other.user_attrs.get(SAME_AS, other.number))
                return tuple(other.values)
        return None

    def _train(self, trial: Trial, recipe: Recipe, place: Path) -> None:
        clock = place / "clock.json"
        job = TrainingJob(
            dataset=self.wanted.dataset.folder.absolute(),
            run=place / "run",
            recipe=recipe,
            asks=(),
            clock=clock,
            log=place / "log.txt",
        )
        watch = TrialPruner(
            trial=trial,
            figure=self.wanted.objective.figure,
            head_epochs=recipe.head_epochs,
            prunes=self.latency is None,
            tell=self.tell,
        )
        try:
            train_apart(job, tell=watch)
        except PrunedTrial:
            _keep_seconds(trial, clock)
            shutil.rmtree(place, ignore_errors=True)
            raise
        _keep_seconds(trial, clock)


def place_of(trial: Trial | FrozenTrial, folder: Path) -> Path:
    """Where its run lies: with the trial whose values it repeats, so that it goes on from the checkpoint."""
    return folder / TRIALS / str(trial.user_attrs.get(ORIGIN, trial.number))


@dataclass(slots=True, kw_only=True)
class TrialPruner:
    """Holds each epoch, counted over both phases, against the same epoch of other trials."""

    trial: Trial
    figure: str
    head_epochs: int
    prunes: bool
    tell: Tell
    best: float = float("-inf")

    def __call__(self, told: Told) -> None:
        self.tell(told)
        match told:
            case FitProgress(name=name, epoch=epoch, ended=Epoch(validation=figures)) if self.prunes:
                self.best = max(self.best, figures[self.figure])
                self.trial.report(self.best, step=epoch + (self.head_epochs if name == SECOND_PHASE else 0))
                if self.trial.should_prune():
                    raise PrunedTrial


def _keep_seconds(trial: Trial, clock: Path) -> None:
    if clock.is_file():
        trial.set_user_attr(SECONDS, float(read_json(clock)["seconds"]))
