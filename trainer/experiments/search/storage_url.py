"""Open the place where trials are kept: an SQLite file, a journal file, or a database server.

sqlite:///trials.db                     one machine: SQLite's locks do not hold on network folders
journal:/mnt/shared/trials.log          several machines with one network folder, and no server
postgresql://user:password@host/trials  several machines; whatever SQLAlchemy takes, with its driver installed
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import DBAPIError

from dermpack.errors import InputError

SQLITE, JOURNAL = "sqlite:", "journal:"
IN_MEMORY = re.compile(r"sqlite(\+\w+)?:(//)?/?(:memory:)?(\?.*)?")
SECRET = re.compile(r"(//[^/:@]*:).+(?=@)|(password=)[^&]+")
PATIENCE_S = 120.0  # for the lock of SQLite, which another worker may hold
PAUSES_S = (0.2, 1.0, 3.0)  # until another worker has made the tables
PACKAGES = {  # of drivers whose package is named otherwise
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "mysql": "mysql-connector-python",
}


def open_storage(url: str) -> BaseStorage:
    """A storage that workers share; InputError where its driver is missing, or it keeps nothing."""
    if IN_MEMORY.fullmatch(url):
        what, hint = "keeps the trials in memory only", "Name a file, as in sqlite:///FILE."
        raise InputError(f"--storage {url}", what, hint, code="invalid-storage")
    if url.startswith(JOURNAL):
        return JournalStorage(JournalFileBackend(str(_journal(url))))
    try:
        return _database(url)
    except ImportError as error:
        raise _no_driver(url, error) from error


def without_password(text: str) -> str:
    """without_password("mysql://me:secret@host/x") → "mysql://me:***@host/x": logs are read by others."""
    return SECRET.sub(r"\1\2***", text)


def _journal(url: str) -> Path:
    path = Path(url.removeprefix(JOURNAL)).absolute()
    if path.name and path.parent.is_dir() and not path.is_dir():
        return path
    what, hint = "must name a file in an existing folder", "Write journal:FOLDER/FILE."
    raise InputError(f"--storage {url}", what, hint, code="invalid-storage")


def _database(url: str) -> RDBStorage:
    """Workers of several machines that begin at once all make the tables: all but one begin again."""
    for pause_s in PAUSES_S:
        try:
            return RDBStorage(url, engine_kwargs=_engine(url))
        except DBAPIError as error:
            if "already exists" not in str(error):
                raise
            time.sleep(pause_s)
    return RDBStorage(url, engine_kwargs=_engine(url))


def _engine(url: str) -> dict[str, Any]:
    """A trial may take hours: a server may have closed the connection since."""
    if url.startswith(SQLITE):
        return {"connect_args": {"timeout": PATIENCE_S}}
    return {"pool_pre_ping": True}


def _no_driver(url: str, error: ImportError) -> InputError:
    """Optuna hides the name of the driver in the cause."""
    module = (getattr(error.__cause__, "name", None) or error.name or "").partition(".")[0]
    hint = f"Run: pip install {PACKAGES.get(module, module)}" if module else "Install the driver."
    where = f"--storage {without_password(url)}"
    return InputError(
        where,
        f"driver {module} not installed" if module else "driver not installed",
        hint,
        code="missing-extra",
    )
