"""The trials of a search, in a database that several workers share: SQLite, or what Optuna takes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, TPESampler

from dermpack.errors import InputError
from dermpack.storage.files import json_text, sha256_of
from trainer.experiments.search.folder_lock import turn
from trainer.experiments.search.objective import Objective, SearchGoal
from trainer.experiments.search.storage_url import open_storage, without_password

SQLITE_FILE = "tune.db"
FIRST_RANDOM = 10  # trials, before what was found says where to look
ASKED = "asked"


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{(folder / SQLITE_FILE).absolute()}"


def open_trials(wanted: SearchGoal, url: str, name: str, folder: Path) -> optuna.Study:
    """The study of this name, made if it is not there; one of another search is refused.

    Optuna's tables must not be made by two at once: the workers of the folder wait for each other.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    try:
        with turn(folder):
            study = optuna.create_study(
                storage=open_storage(url),
                study_name=name,
                directions=list(wanted.objective.directions),
                sampler=SeededByNumber(wanted.base.seed),
                pruner=_pruner(wanted.objective),
                load_if_exists=True,
            )
            _claim(study, wanted.record())
    except InputError:
        raise
    except Exception as error:  # each database driver has errors of its own
        said = without_password(" ".join(str(error).split()))[:200]
        where, hint = f"--storage {without_password(url)}", "Check the address, and that its server runs."
        raise InputError(where, f"cannot be opened ({said})", hint, code="cannot-open-storage") from error
    return study


class SeededByNumber(BaseSampler):
    """Draws by the seed and the trial's number: a worker that is started again repeats nothing."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._own: BaseSampler = _sampler(seed)

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        digest = sha256_of(f"{self.seed} {trial.number}".encode())
        self._own = _sampler(int(digest[:8], 16))
        self._own.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, optuna.distributions.BaseDistribution]:
        return self._own.infer_relative_search_space(study, trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        search_space: dict[str, optuna.distributions.BaseDistribution],
    ) -> dict[str, Any]:
        return self._own.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: optuna.distributions.BaseDistribution,
    ) -> Any:
        return self._own.sample_independent(study, trial, param_name, param_distribution)


def _sampler(seed: int) -> BaseSampler:
    """`constant_liar`: a trial that another worker is at counts as a bad one, and is not tried twice."""
    return TPESampler(seed=seed, n_startup_trials=FIRST_RANDOM, constant_liar=True)


def _pruner(objective: Objective) -> optuna.pruners.BasePruner:
    """Two objectives cannot be compared before the end."""
    if objective.with_latency:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)


def _claim(study: optuna.Study, asked: Mapping[str, Any]) -> None:
    """The first worker says what is searched; the others must search the same."""
    mine = sha256_of(json_text(asked).encode())
    theirs = study.user_attrs.get(ASKED)
    if theirs is None:
        study.set_user_attr(ASKED, mine)
    elif theirs != mine:
        what = "exists already, with another dataset, recipe, space or objective"
        hint = "Choose another output or another --name."
        raise InputError(f"study {study.study_name}", what, hint, code="output-mismatch")
