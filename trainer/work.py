"""The hidden folder beside a run where its training lies until it is whole."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dermpack.errors import OutputError
from dermpack.files import json_text, read_json, write_text
from trainer.checkpoint import CHECKPOINT_FILE

ASKED_FILE, LOCK_FILE = "asked.json", "lock"
RESTART = "give the same options to go on, or add --overwrite to begin anew"


@contextmanager
def work_folder(run: Path, asked: Mapping[str, Any], *, overwrite: bool) -> Iterator[Path]:
    """Yield the folder, new or as an interrupted training of the same options left it.

    Whatever ends the block, the folder stays: the caller removes it when the run is whole.
    """
    folder = run.absolute().with_name(f".{run.absolute().name}.partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK_FILE).open("w") as lock:
            _take(lock, run)
            _claim(folder, run, asked, overwrite=overwrite)
            yield folder
    except OSError as error:
        if not _is_below(error, folder.parent):
            raise
        what = f"cannot be written ({error.strerror or error})"
        raise OutputError(run, what, "check the folder and the free space") from error


def _take(lock: Any, run: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(run, "is being trained by another process", "wait for it") from None


def _claim(folder: Path, run: Path, asked: Mapping[str, Any], *, overwrite: bool) -> None:
    """Go on with these options' own work; work of other options is only removed where none is lost by it."""
    path = folder / ASKED_FILE
    if path.is_file() and path.read_text(encoding="utf-8") == json_text(asked):
        return
    if not overwrite and any(folder.rglob(CHECKPOINT_FILE)):
        change = _first_change(read_json(path), asked)
        raise OutputError(run, f"was interrupted with other options ({change})", RESTART)
    for child in folder.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
    write_text(path, json_text(asked))


def _first_change(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """old and new of the first option that differs: "epochs: 8, now 9"."""
    before, after = ({**asked, **asked.get("recipe", {})} for asked in (old, new))
    names = sorted((set(before) | set(after)) - {"recipe"})
    changed = next(name for name in names if before.get(name) != after.get(name))
    return f"{changed}: {before.get(changed)}, now {after.get(changed)}"


def _is_below(error: OSError, folder: Path) -> bool:
    return error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(folder)
