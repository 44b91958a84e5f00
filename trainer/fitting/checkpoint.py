"""Write the state of a fit at the end of an epoch, and read it to resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.storage.codec import decode, encode
from dermpack.storage.files import format_json
from trainer.data.array_file import read_arrays, write_arrays
from trainer.fitting.events import Epoch

Array = NDArray[Any]
CHECKPOINT_FILE = "checkpoint.npz"
RECORD, NOW, BEST = "record", "now/", "best/"  # names and prefixes of arrays in the file
HINT = "Remove it and train again."


class Stop(Enum):
    """Why a fit ended."""

    NOT_YET = "not yet"
    ALL_EPOCHS = "all epochs"
    PATIENCE = "no better figure"
    TIME_LIMIT = "time limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """The history of a fit, and its best epoch, whose weights the model has afterwards."""

    history: tuple[Epoch, ...]
    best_epoch: int  # from 1; 0 before the first
    stop: Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A fit between two epochs: the weights of the best epoch, and the full state of the last."""

    identity: str  # hash of plan, feed and model: another fit cannot resume from it
    result: FitResult  # so far
    now: Mapping[str, Array]
    best: Mapping[str, Array]


def write_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write one file atomically: the previous one stays until the new one is on the disk."""
    record = {"identity": checkpoint.identity, **encode(checkpoint.result)}
    # The record is an array of bytes in the same file, so that it always matches the weights.
    arrays = {RECORD: np.frombuffer(format_json(record).encode(), np.uint8)}
    arrays |= {NOW + name: array for name, array in checkpoint.now.items()}
    arrays |= {BEST + name: array for name, array in checkpoint.best.items()}
    write_arrays(folder / CHECKPOINT_FILE, arrays)


def read_checkpoint(folder: Path, *, identity: str) -> Checkpoint | None:
    """Return the checkpoint of this fit, or None; raise InputError for one of another fit."""
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    checkpoint = _read(path)
    if checkpoint.identity != identity:
        what = "checkpoint of a training with different options, pictures or network"
        raise InputError(path, what, HINT, code="checkpoint-mismatch")
    return checkpoint


def read_history(path: Path) -> tuple[Epoch, ...]:
    """Return the epochs of the checkpoint of any fit."""
    return _read(path).result.history


def _read(path: Path) -> Checkpoint:
    arrays = read_arrays(path)
    try:
        record = json.loads(arrays.pop(RECORD).tobytes())
        return Checkpoint(
            identity=str(record.pop("identity")),
            result=decode(FitResult, record),
            now=_select(NOW, arrays),
            best=_select(BEST, arrays),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(path, f"not a checkpoint ({error})", HINT, code="invalid-format") from error


def _select(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays below a prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
