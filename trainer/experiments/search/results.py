"""Read from the trials what a search found, and write it down: record, page, plots, the best recipe."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from dermpack.errors import DermpackError
from dermpack.storage.files import json_text, write_bytes
from dermpack.storage.toml_writer import toml_text
from trainer.experiments.report.search_page import tune_page
from trainer.experiments.report.search_plots import tune_plots
from trainer.experiments.report.search_record import Search, State, TrialRow
from trainer.experiments.search.objective import Objective, SearchGoal
from trainer.experiments.search.search import REASON
from trainer.experiments.search.space import recipe_of
from trainer.experiments.search.trial import SAME_AS, SECONDS
from trainer.recipe.plain_values import spelled
from trainer.recipe.recipe import OF_THE_MACHINE, Recipe

RECORD_FILE, PAGE_FILE, BEST_FILE = "tune.json", "tune.html", "best.toml"
RECIPES = "recipes"
FEWEST_FOR_IMPORTANCE = 4  # complete trials
STATES = {
    TrialState.COMPLETE: State.COMPLETE,
    TrialState.PRUNED: State.PRUNED,
    TrialState.FAIL: State.FAILED,
    TrialState.RUNNING: State.RUNNING,
}


def found_so_far(study: optuna.Study, wanted: SearchGoal) -> Search:
    """Every trial that was begun; one whose worker died stands under the number of its repetition."""
    trials = [of for of in study.get_trials(deepcopy=False) if of.state in STATES and not _is_repeated(of)]
    best = sorted(study.best_trials, key=lambda of: (-of.values[0], of.number)) if _ended(study) else []
    objective = wanted.objective
    return Search(
        name=study.study_name,
        source=wanted.dataset.source,
        dataset_sha256=wanted.dataset.sha256,
        objectives=(objective.figure, *(["latency_ms"] if objective.with_latency else [])),
        space=wanted.space.record(),
        left_out=wanted.space.left_out,
        base=wanted.recipe.record(),
        best=tuple(of.number for of in _distinct(best, objective)),
        importance=_importance(study),
        trials=tuple(map(_row, trials)),
    )


def write_search(search: Search, base: Recipe, folder: Path) -> None:
    """The files of a search; whichever worker is last has the last word."""
    plots = tune_plots(search)
    texts = {RECORD_FILE: json_text(search.record()), PAGE_FILE: tune_page(search, plots)}
    if search.best:
        texts[BEST_FILE] = _recipe_text(search, search.best[0], base, folder)
    for name, data in (*plots.items(), *((name, text.encode("utf-8")) for name, text in texts.items())):
        write_bytes(folder / name, data)
    if len(search.objectives) > 1:
        _write_front(search, base, folder / RECIPES)


def _write_front(search: Search, base: Recipe, folder: Path) -> None:
    """A recipe a trial that none beats in both; those that were beaten since are removed."""
    folder.mkdir(exist_ok=True)
    names = {f"trial-{number}.toml": number for number in search.best}
    for name, number in names.items():
        write_bytes(folder / name, _recipe_text(search, number, base, folder).encode("utf-8"))
    for path in folder.glob("trial-*.toml"):
        if path.name not in names:
            path.unlink()


def _recipe_text(search: Search, number: int, base: Recipe, folder: Path) -> str:
    """As `dermpack train --recipe` takes it; files and runs are named relative to the folder."""
    trial = search.trial(number)
    recipe = recipe_of(trial.drawn, base)
    values = {name: value for name, value in spelled(recipe).items() if name not in OF_THE_MACHINE}
    for name, path in (("weights", recipe.weights), ("teacher", recipe.teacher)):
        if isinstance(path, Path):
            values[name] = os.path.relpath(path.resolve(), folder.resolve())
    figures = ", ".join(
        f"{name} {value:.4g}" for name, value in zip(search.objectives, trial.values, strict=True)
    )
    comment = f"Trial {number} of {len(search.trials)}: {figures}, on the validation split that chose it."
    return toml_text(values, comment=comment)


def _distinct(best: list[FrozenTrial], objective: Objective) -> list[FrozenTrial]:
    """Of one objective the first of equals; of two, each point of the front once."""
    first: dict[tuple[float, ...], FrozenTrial] = {}
    for trial in best:
        first.setdefault(tuple(trial.values), trial)
    found = list(first.values())
    return found if objective.with_latency else found[:1]


def _ended(study: optuna.Study) -> bool:
    return any(of.state is TrialState.COMPLETE for of in study.get_trials(deepcopy=False))


def _is_repeated(trial: FrozenTrial) -> bool:
    return trial.state is TrialState.FAIL and REASON not in trial.user_attrs


def _row(trial: FrozenTrial) -> TrialRow:
    told: Mapping[str, Any] = trial.user_attrs
    return TrialRow(
        number=trial.number,
        state=STATES[trial.state],
        drawn=dict(trial.params),
        values=tuple(trial.values or ()) if trial.state is TrialState.COMPLETE else (),
        curve=dict(trial.intermediate_values),
        seconds=told.get(SECONDS),
        same_as=told.get(SAME_AS),
        reason=str(told.get(REASON, "")),
    )


def _importance(study: optuna.Study) -> dict[str, float]:
    """By fANOVA; nothing where too few trials, or all alike, say nothing."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = {of.values[0] for of in complete if of.values}
    if len(complete) < FEWEST_FOR_IMPORTANCE or len(values) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=lambda trial: trial.values[0]
            )
        except (ValueError, RuntimeError, DermpackError):  # no option was drawn in all of the trials
            return {}
    return {name: float(share) for name, share in found.items()}
