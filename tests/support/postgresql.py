"""A PostgreSQL server of its own, which only programs of this machine reach through a socket file."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = Path("/usr/lib/postgresql")  # of Debian
USER = "postgres"  # the server refuses to run as root


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Yield the URL of a new server; skip the test if PostgreSQL or its driver is not installed."""
    pytest.importorskip("psycopg")
    found = sorted(PROGRAMS.glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="dermpack-postgresql-"))  # socket paths are short
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER)
        data, control = folder / "data", str(found[-1].with_name("pg_ctl"))
        _run([str(found[-1]), "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"])
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}'"
        _run([control, "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start"])
        try:
            yield f"postgresql://{USER}@/postgres?host={folder}"
        finally:
            _run([control, "-D", str(data), "-m", "immediate", "-w", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str]) -> None:
    user = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
    # The server keeps the output of its starter open, so it is not captured by a pipe.
    subprocess.run([*user, *command], check=True, stdout=subprocess.DEVNULL, timeout=60, cwd="/")
