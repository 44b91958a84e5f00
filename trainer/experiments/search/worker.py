"""One worker of a search: run trials until there are enough, and write the results."""

from __future__ import annotations

import math
import os
import shutil
import time
import warnings
from functools import partial
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from dermpack.errors import DermpackError, InputError
from dermpack.progress import ignore
from dermpack.storage import files
from dermpack.storage.shared_folders import wait_for_turn
from dermpack.storage.toml_text import format_toml
from trainer.experiments.search import workers
from trainer.experiments.search.space import SearchGoal, apply_sample
from trainer.experiments.search.storage import (
    find_full_disk,
    hide_password,
    open_trials,
    order_trials,
    sqlite_url,
)
from trainer.experiments.search_report import Search, State, TrialRow, search_page, search_plots
from trainer.recipe.recipe import MACHINE_OPTIONS, Recipe, recipe_to_options
from trainer.runs.preflight import check_single_process, check_training
from trainer.runs.subprocess_training import EventCallback

MARKER = ".dermpack-tune"  # marks a folder that dermpack wrote


def tune(
    goal: SearchGoal,
    folder: Path,
    *,
    trials: int,
    minutes: float = 0.0,
    storage: str = "",
    name: str = "",
    latency: workers.MeasureLatency | None = None,
    on_event: EventCallback = ignore,
) -> Search:
    """Run trials until all workers have started `trials`, and return the results.

    After any interruption, the same call resumes. No trial is started after `minutes`, if they are given.
    """
    folder = folder.absolute()
    check_single_process(goal.recipe)
    check_training(goal.dataset, folder / workers.TRIALS / "any", goal.recipe, overwrite=True)
    files.check_output_folder(folder, marker=MARKER, overwrite=True)
    with files.report_write_errors(folder):
        # Other workers may create the folder at the same moment; it is empty or marked at any time.
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
    url = storage or sqlite_url(folder)
    study = open_trials(goal, url, name or folder.name, folder)
    run_trial = partial(
        workers.train_trial,
        study=study,
        goal=goal,
        folder=folder,
        trials=trials,
        latency=latency,
        on_event=on_event,
    )
    write = partial(_write, study, goal, folder)
    deadline = time.monotonic() + minutes * 60 if minutes else math.inf
    try:
        workers.run_trials(
            study, goal.space, run_trial, folder, trials=trials, deadline=deadline, on_trial_end=write
        )
        return write()
    except optuna.exceptions.StorageInternalError as error:
        if full := find_full_disk(error, url):
            raise full from error
        reason = hide_password(" ".join(str(error.__cause__ or error).split()))[:200]
        where, hint = f"--storage {hide_password(url)}", "Rerun the same command to resume."
        raise InputError(where, f"connection lost ({reason})", hint, code="connection-lost") from error


def _write(study: optuna.Study, goal: SearchGoal, folder: Path) -> Search:
    """Write all files from the same trials, one worker at a time."""
    with wait_for_turn(folder, name="report"):
        found = collect_results(study, goal)
        write_search(found, goal.recipe, folder)
        # The runs of all trials would fill the disk, so only those of the best trials are kept.
        everything = study.get_trials(deepcopy=False)
        positions = order_trials(everything)
        for trial in everything:
            if trial.state is TrialState.COMPLETE and positions[trial.number] not in found.best:
                shutil.rmtree(workers.trial_folder(trial, folder) / "run", ignore_errors=True)
    return found


SEARCH_RECORD_FILE, PAGE_FILE, BEST_FILE = "tune.json", "tune.html", "best.toml"
RECIPES = "recipes"
MIN_TRIALS_FOR_IMPORTANCE = 4
STATES = {
    TrialState.COMPLETE: State.COMPLETE,
    TrialState.PRUNED: State.PRUNED,
    TrialState.FAIL: State.FAILED,
    TrialState.RUNNING: State.RUNNING,
}


def collect_results(study: optuna.Study, goal: SearchGoal) -> Search:
    """Return the results of all started trials; a trial whose worker died appears as its repetition."""
    everything = study.get_trials(deepcopy=False)
    positions = order_trials(everything)
    # Workers that end one after another leave repetitions that are out of order.
    trials = sorted(
        (trial for trial in everything if trial.state in STATES and not workers.failed_with_worker(trial)),
        key=lambda trial: positions[trial.number],
    )
    best = []
    if any(trial.state is TrialState.COMPLETE for trial in everything):
        best = sorted(study.best_trials, key=lambda trial: (-trial.values[0], positions[trial.number]))
    objective = goal.objective
    # Of several trials with the same figures, only the first is kept. With one objective, only the
    # best trial is wanted; with two, each point of the Pareto front.
    first: dict[tuple[float, ...], FrozenTrial] = {}
    for trial in best:
        first.setdefault(tuple(trial.values), trial)
    distinct = list(first.values()) if objective.with_latency else list(first.values())[:1]
    return Search(
        name=study.study_name,
        dataset={"sha256": goal.dataset.sha256, "source": goal.dataset.source},
        objectives=(objective.figure, *(["latency_ms"] if objective.with_latency else [])),
        space=goal.space.record(),
        left_out=goal.space.left_out,
        base=goal.recipe.record(),
        best=tuple(positions[trial.number] for trial in distinct),
        importance=_importance(study),
        trials=tuple(
            TrialRow(
                number=positions[trial.number],
                state=STATES[trial.state],
                drawn=dict(trial.params),
                values=tuple(trial.values or ()) if trial.state is TrialState.COMPLETE else (),
                curve={str(epoch): value for epoch, value in sorted(trial.intermediate_values.items())},
                seconds=trial.user_attrs.get(workers.SECONDS),
                same_as=positions.get(trial.user_attrs.get(workers.SAME_AS, -1)),
                reason=trial.user_attrs.get(workers.TRIAL_REASON),
            )
            for trial in trials
        ),
    )


def write_search(search: Search, base: Recipe, folder: Path) -> None:
    """Write the record, the page, the plots and the best recipe."""
    plots = search_plots(search)
    for name, data in plots.items():
        files.write_bytes(folder / name, data)
    files.write_text(folder / SEARCH_RECORD_FILE, files.format_json(search.record()))
    files.write_text(folder / PAGE_FILE, search_page(search, plots))
    if search.best:
        files.write_text(folder / BEST_FILE, _recipe_text(search, search.best[0], base, folder))
    if len(search.objectives) > 1:
        # Write the recipe of each trial on the Pareto front, and remove those of earlier fronts.
        recipes = folder / RECIPES
        recipes.mkdir(exist_ok=True)
        names = {f"trial-{number}.toml": number for number in search.best}
        for name, number in names.items():
            files.write_text(recipes / name, _recipe_text(search, number, base, recipes))
        for path in recipes.glob("trial-*.toml"):
            if path.name not in names:
                path.unlink()


def _recipe_text(search: Search, number: int, base: Recipe, folder: Path) -> str:
    """Return a TOML file for `dermpack train --recipe`; its paths are relative to the folder."""
    trial = search.trial(number)
    recipe = apply_sample(trial.drawn, base)
    values = {name: value for name, value in recipe_to_options(recipe).items() if name not in MACHINE_OPTIONS}
    # A path relative to the file stays valid when the folder is moved together with the weights.
    if isinstance(recipe.weights, Path):
        values["weights"] = os.path.relpath(recipe.weights.resolve(), folder.resolve())
    for name, runs in (("teacher", recipe.teacher), ("average", recipe.average)):
        if runs:
            values[name] = [os.path.relpath(run.resolve(), folder.resolve()) for run in runs]
    figures = ", ".join(
        f"{name} {value:.4g}" for name, value in zip(search.objectives, trial.values, strict=True)
    )
    comment = f"Trial {number} of {len(search.trials)}: {figures}, on the validation split that selected it."
    return format_toml(values, comment=comment)


def _importance(study: optuna.Study) -> dict[str, float]:
    """Return the importance of each option by fANOVA; empty if there are too few different results."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = {trial.values[0] for trial in complete if trial.values}
    if len(complete) < MIN_TRIALS_FOR_IMPORTANCE or len(values) < 2:
        return {}
    # fANOVA fits a random forest; its seed makes the record the same on every call.
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=lambda trial: trial.values[0]
            )
        except (ValueError, RuntimeError, DermpackError):  # no option was sampled in all trials
            return {}
    return {name: float(share) for name, share in found.items()}
