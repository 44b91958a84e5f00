"""One worker of a search: it tries recipes until there are enough, and writes down what was found."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from dermpack.errors import InputError
from dermpack.storage.files import cannot_write, refuse_existing
from trainer.experiments.report.search_record import Search
from trainer.experiments.search.folder_lock import turn
from trainer.experiments.search.objective import SearchGoal
from trainer.experiments.search.results import found_so_far, write_search
from trainer.experiments.search.search import search
from trainer.experiments.search.storage import open_trials, sqlite_url
from trainer.experiments.search.storage_url import without_password
from trainer.experiments.search.trial import TRIALS, Latency, TrialSetup, place_of
from trainer.runs.preflight import check_alone, check_asked
from trainer.runs.subprocess_training import Tell, untold

MARKER = ".dermpack-tune"  # says "one of ours"


def tune(
    wanted: SearchGoal,
    folder: Path,
    *,
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
    _open(wanted, folder)
    url = storage or sqlite_url(folder)
    study = open_trials(wanted, url, name or folder.name, folder)
    attempts = TrialSetup(
        study=study, wanted=wanted, folder=folder, trials=trials, latency=latency, tell=tell
    )

    def ended(_: FrozenTrial) -> None:
        _write(study, wanted, folder)

    deadline = time.monotonic() + minutes * 60 if minutes else math.inf
    try:
        search(study, wanted.space, attempts, folder, trials=trials, deadline=deadline, ended=ended)
        return _write(study, wanted, folder)
    except optuna.exceptions.StorageInternalError as error:
        raise _lost(url, error) from error


def _open(wanted: SearchGoal, folder: Path) -> None:
    """A folder of our own; other workers may be in it already, or make it at this very moment."""
    check_alone(wanted.recipe)
    check_asked(wanted.dataset, folder / TRIALS / "any", wanted.recipe, overwrite=True)
    refuse_existing(folder, marker=MARKER, overwrite=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()  # empty or with it: at no time something else
    except OSError as error:
        raise cannot_write(folder, error) from error


def _lost(url: str, error: Exception) -> InputError:
    """The database went away: what was written there is there still."""
    said = without_password(" ".join(str(error.__cause__ or error).split()))[:200]
    where, hint = f"--storage {without_password(url)}", "Rerun the same command to resume."
    return InputError(where, f"connection lost ({said})", hint, code="connection-lost")


def _write(study: optuna.Study, wanted: SearchGoal, folder: Path) -> Search:
    """One worker at a time, so that all files are of one moment."""
    with turn(folder, of="report"):
        found = found_so_far(study, wanted)
        write_search(found, wanted.recipe, folder)
        _forget(study, found, folder)
    return found


def _forget(study: optuna.Study, found: Search, folder: Path) -> None:
    """Of the runs that have ended only the best are kept: a hundred would fill a disk."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if trial.number not in found.best:
            shutil.rmtree(place_of(trial, folder) / "run", ignore_errors=True)
