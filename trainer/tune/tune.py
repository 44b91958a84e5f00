"""One worker of a search: it tries recipes until there are enough, and writes down what was found."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import replace
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from dermpack.errors import OutputError
from dermpack.files import refuse_existing
from dermpack.manifest import Dataset
from dermpack.report.tune import Search
from trainer.apart import Tell, untold
from trainer.asked import check_asked
from trainer.plan import Goal
from trainer.recipe import Recipe
from trainer.tune.attempt import TRIALS, Attempts, Latency, place_of
from trainer.tune.outcome import found_so_far, write_search
from trainer.tune.search import search
from trainer.tune.space import Space
from trainer.tune.storage import Objective, open_trials, sqlite_url
from trainer.tune.turn import turn

MARKER = ".dermpack-tune"  # says "one of ours"


def tune(
    dataset: Dataset,
    folder: Path,
    base: Recipe,
    space: Space,
    *,
    objective: Objective = Objective.BALANCED_ACCURACY,
    trials: int,
    minutes: float = 0.0,
    storage: str = "",
    name: str = "",
    latency: Latency | None = None,
    tell: Tell = untold,
) -> Search:
    """Search until so many trials are begun by all workers together, and ours have ended.

    Killed at any moment, the same call goes on. No trial is begun after `minutes`, where they are given.
    """
    folder = folder.absolute()
    base = replace(base, metric=Goal(objective.figure))
    check_asked(dataset, folder / TRIALS / "any", base, overwrite=True)
    _open(folder)
    asked = {
        "manifest_sha256": dataset.sha256,
        "base": base.record(),
        "space": space.record(),
        "objective": objective.value,
    }
    url, name = storage or sqlite_url(folder), name or folder.name
    study = open_trials(url, name, folder, objective=objective, asked=asked, seed=base.seed)

    def ended(trial: FrozenTrial) -> None:
        del trial
        _write(study, dataset, base, space, objective, folder)

    attempts = Attempts(
        study=study,
        dataset=dataset,
        base=base,
        objective=objective,
        folder=folder,
        trials=trials,
        latency=latency,
        tell=tell,
    )
    deadline = time.monotonic() + minutes * 60 if minutes else math.inf
    search(study, space, attempts, folder, trials=trials, deadline=deadline, ended=ended)
    return _write(study, dataset, base, space, objective, folder)


def _open(folder: Path) -> None:
    """A folder of our own; other workers may be in it already, or make it at this very moment."""
    refuse_existing(folder, marker=MARKER, overwrite=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()  # empty or with it: at no time something else
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise OutputError(folder, what, "check the folder and the free space") from error


def _write(
    study: optuna.Study, dataset: Dataset, base: Recipe, space: Space, objective: Objective, folder: Path
) -> Search:
    """One worker at a time, so that all files are of one moment."""
    with turn(folder, of="report"):
        found = found_so_far(study, dataset, base, space, objective)
        write_search(found, base, folder)
        _forget(study, found, folder)
    return found


def _forget(study: optuna.Study, found: Search, folder: Path) -> None:
    """Of the runs that have ended only the best are kept: a hundred would fill a disk."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if trial.number not in found.best:
            shutil.rmtree(place_of(trial, folder) / "run", ignore_errors=True)
