"""The storage of the trials, which several workers share: SQLite, a journal file, or a database server.

sqlite:///trials.db                     one machine: SQLite's locks do not work on network folders
journal:/mnt/shared/trials.log          several machines with a network folder and no server
postgresql://user:password@host/trials  several machines; any URL of SQLAlchemy whose driver is installed
"""

from __future__ import annotations

import errno
import logging
import re
import sqlite3
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from sqlalchemy.exc import DBAPIError

from dermpack.errors import InputError, OutputError
from dermpack.storage.files import format_json, sha256_of
from dermpack.storage.shared_folders import wait_for_turn
from trainer.experiments.search.space import SearchGoal

SQLITE_FILE = "tune.db"
RANDOM_TRIALS = 10  # before the results guide the sampler
IDENTITY = "asked"  # the attribute with the hash of the search goal
ORIGIN = "origin"  # the attribute of a repetition with the number of the trial that it repeats
SQLITE, JOURNAL = "sqlite:", "journal:"
SQLITE_FULL = "database or disk is full"  # Python 3.10 has no number for it
IN_MEMORY = re.compile(r"sqlite(\+\w+)?:(//)?/?(:memory:)?(\?.*)?")
SECRET = re.compile(r"(//[^/:@]*:).+(?=@)|(password=)[^&]+")
LOCK_TIMEOUT_S = 120.0  # for the lock of SQLite, which another worker may hold
RETRIES_S = (0.2, 1.0, 3.0)  # while another worker creates the tables
PACKAGES = {  # of drivers whose package has another name
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "mysql": "mysql-connector-python",
}


def sqlite_url(folder: Path) -> str:
    """Return the URL of the SQLite file in the output folder, the default storage."""
    return f"sqlite:///{(folder / SQLITE_FILE).absolute()}"


def open_trials(goal: SearchGoal, url: str, name: str, folder: Path) -> optuna.Study:
    """Return the Optuna study of this name, created if it is missing; refuse one with another goal.

    The workers of a folder wait for each other, because two must not create Optuna's tables at once.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    # Trials with two objectives cannot be compared before they end.
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if not goal.objective.with_latency:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
    try:
        with wait_for_turn(folder):
            study = optuna.create_study(
                storage=open_storage(url),
                study_name=name,
                directions=list(goal.objective.directions),
                sampler=SeededByPosition(goal.base.seed),
                pruner=pruner,
                load_if_exists=True,
            )
            # The first worker stores the goal of the search; every other one must have the same goal.
            mine, theirs = sha256_of(format_json(goal.record()).encode()), study.user_attrs.get(IDENTITY)
            if theirs is None:
                study.set_user_attr(IDENTITY, mine)
            elif theirs != mine:
                what = "exists already, with another dataset, recipe, space or objective"
                hint = "Choose another output or another --name."
                raise InputError(f"study {study.study_name}", what, hint, code="output-mismatch")
    except InputError:
        raise
    except Exception as error:  # each database driver has its own errors
        if full := find_full_disk(error, url):
            raise full from error
        said = hide_password(" ".join(str(error).split()))[:200]
        where, hint = f"--storage {hide_password(url)}", "Check the address, and that its server runs."
        raise InputError(where, f"cannot be opened ({said})", hint, code="cannot-open-storage") from error
    return study


def order_trials(trials: Sequence[FrozenTrial]) -> Mapping[int, int]:
    """Return the position of each trial, by its number, in a search that is never interrupted.

    A repetition has the position of the trial that it repeats, and moves no other trial:
    0, 1, 2 (repeats 1), 3 → 0, 1, 1, 2. So an interruption changes neither the values nor the report.
    """
    positions = dict[int, int]()
    for trial in sorted(trials, key=lambda trial: trial.number):
        origin = int(trial.user_attrs.get(ORIGIN, trial.number))
        positions[trial.number] = positions.get(origin, len(set(positions.values())))
    return positions


class SeededByPosition(TPESampler):
    """A sampler seeded by the seed and the position of the trial: a restarted worker repeats no values."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._restart(seed)

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        # A hash spreads neighbouring positions over all seeds.
        position = order_trials(study.get_trials(deepcopy=False))[trial.number]
        digest = sha256_of(f"{self.seed} {position}".encode())
        self._restart(int(digest[:8], 16))
        super().before_trial(study, trial)

    def _restart(self, seed: int) -> None:
        # `constant_liar` treats running trials as bad ones, so no other worker repeats them.
        super().__init__(seed=seed, n_startup_trials=RANDOM_TRIALS, constant_liar=True)


def open_storage(url: str) -> BaseStorage:
    """Return a storage that workers can share; raise InputError if its driver is missing."""
    if IN_MEMORY.fullmatch(url):
        what, hint = "keeps the trials in memory only", "Name a file, as in sqlite:///FILE."
        raise InputError(f"--storage {url}", what, hint, code="invalid-storage")
    if url.startswith(JOURNAL):
        path = Path(url.removeprefix(JOURNAL)).absolute()
        if not (path.name and path.parent.is_dir() and not path.is_dir()):
            what, hint = "must name a file in an existing folder", "Write journal:FOLDER/FILE."
            raise InputError(f"--storage {url}", what, hint, code="invalid-storage")
        return JournalStorage(JournalFileBackend(str(path)))
    # A server may close the connection during a trial of hours, so SQLAlchemy tests it before each use.
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith(SQLITE):
        options = {"connect_args": {"timeout": LOCK_TIMEOUT_S}}
    try:
        for pause_s in RETRIES_S:
            try:
                return RDBStorage(url, engine_kwargs=options)
            except DBAPIError as error:
                # Workers on several machines may create the tables at the same time.
                if "already exists" not in str(error):
                    raise
                time.sleep(pause_s)
        return RDBStorage(url, engine_kwargs=options)
    except ImportError as error:
        # Optuna raises an error of its own; the name of the missing driver is in its cause.
        module = (getattr(error.__cause__, "name", None) or error.name or "").partition(".")[0]
        what = f"driver {module} not installed" if module else "driver not installed"
        hint = f"Run: pip install {PACKAGES.get(module, module)}" if module else "Install the driver."
        raise InputError(f"--storage {hide_password(url)}", what, hint, code="missing-extra") from error


def find_full_disk(error: BaseException, url: str) -> OutputError | None:
    """Return the error to raise if a full disk of this machine is a cause of the error of a storage."""
    cause: BaseException | None = error
    while cause is not None:
        is_refused = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
        if is_refused or (isinstance(cause, sqlite3.Error) and SQLITE_FULL in str(cause)):
            where = url.removeprefix(f"{SQLITE}///").removeprefix(JOURNAL)
            hint = "Free disk space, and rerun the same command to resume."
            return OutputError(where, f"cannot be written ({cause})", hint, code="cannot-write")
        cause = cause.__cause__ or cause.__context__
    return None


def hide_password(text: str) -> str:
    """Return a text without passwords, because others read logs: "mysql://me:***@host/x"."""
    return SECRET.sub(r"\1\2***", text)
