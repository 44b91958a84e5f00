"""The hidden folder beside a run where its training lies until it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dermpack.errors import InputError, OutputError
from dermpack.storage.files import cannot_write, json_text, read_json, write_text
from dermpack.storage.locks import locked
from trainer.fitting.checkpoint import CHECKPOINT_FILE, read_history

ASKED_FILE, LOCK_FILE = "asked.json", "lock"
DATASET = "manifest_sha256"
RESTART = "Use the same dataset and options to resume, or add --overwrite to start again."


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialRun:
    """Where an interrupted training stands."""

    phase: str
    epochs: int  # finished in this phase
    planned: int


GoingOn: TypeAlias = Callable[[PartialRun], None]


def unsaid(left: PartialRun) -> None:
    """Nobody asked."""
    del left


@contextmanager
def work_folder(run: Path, asked: Mapping[str, Any], *, overwrite: bool) -> Iterator[Path]:
    """Yield the folder, new or as an interrupted training of the same options left it.

    An error after a finished epoch leaves the folder, one before it leaves nothing; the caller removes it
    when the run is whole.
    """
    folder = partial_of(run)
    try:
        with locked(folder / LOCK_FILE, where=run, what="being trained"):
            _claim(folder, run, asked, overwrite=overwrite)
            try:
                yield folder
            finally:
                if not any(folder.rglob(CHECKPOINT_FILE)):
                    shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        if not _is_below(error, folder.parent):
            raise
        raise cannot_write(run, error) from error


def partial_of(run: Path) -> Path:
    """The folder of a run that is not whole yet: run → .run.partial."""
    return run.absolute().with_name(f".{run.absolute().name}.partial")


def kept_of(run: Path) -> str:
    """What an interrupted training can go on with, in words; "" where that is nothing."""
    folder = partial_of(run)
    left = left_at(folder, planned=lambda _: 0)
    return f"all up to epoch {left.epochs} ({left.phase}) is kept in {folder.name}" if left else ""


def refuse_unfinished(run: Path) -> None:
    """Say of a run that is not there that it was begun, where it was."""
    if not run.exists() and (partial_of(run) / ASKED_FILE).is_file():
        hint = 'Rerun the same "dermpack train" command to resume.'
        raise InputError(run, "training is not finished", hint, code="run-not-finished")


def left_at(folder: Path, *, planned: Callable[[str], int]) -> PartialRun | None:
    """The phase that was last at work, or None where no epoch was finished."""
    found = sorted(folder.glob(f"*/{CHECKPOINT_FILE}"), key=lambda path: path.stat().st_mtime_ns)
    history = read_history(found[-1]) if found else ()
    if not history:
        return None
    phase = found[-1].parent.name
    return PartialRun(phase=phase, epochs=len(history), planned=planned(phase))


def _claim(folder: Path, run: Path, asked: Mapping[str, Any], *, overwrite: bool) -> None:
    """Go on with these options' own work; work of other options is only removed where none is lost by it."""
    path = folder / ASKED_FILE
    if path.is_file() and path.read_text(encoding="utf-8") == json_text(asked):
        return
    if not overwrite and any(folder.rglob(CHECKPOINT_FILE)):
        what = f"contains an interrupted training with {_change(read_json(path), asked)}"
        raise OutputError(run, what, RESTART, code="output-mismatch")
    for child in folder.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
    write_text(path, json_text(asked))


def _change(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs: "another dataset", or the first option with its old and new value."""
    if old.get(DATASET) != new.get(DATASET):
        return "another dataset"
    before, after = ({**asked, **asked.get("recipe", {})} for asked in (old, new))
    names = sorted((set(before) | set(after)) - {"recipe"})
    changed = next(name for name in names if before.get(name) != after.get(name))
    return f"different options ({changed}: {before.get(changed)}, now {after.get(changed)})"


def _is_below(error: OSError, folder: Path) -> bool:
    return error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(folder)
