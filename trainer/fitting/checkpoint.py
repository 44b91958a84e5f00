"""Keep a fit at the end of an epoch, and take it up again."""

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
from dermpack.storage.files import json_text
from trainer.data.array_file import read_arrays, write_arrays
from trainer.fitting.events import Epoch, epoch_from

Array = NDArray[Any]
CHECKPOINT_FILE = "checkpoint.npz"
RECORD, NOW, BEST = "record", "now/", "best/"
HINT = "Remove it and train again."


class Stop(Enum):
    """Why a fit ended."""

    NOT_YET = "not yet"
    ALL_EPOCHS = "all epochs"
    PATIENCE = "no better figure"
    TIME_LIMIT = "time limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A fit between two epochs; `best` are the weights of the best of them, `now` everything of the last."""

    identity: str  # of plan, feed and model: no other fit may take it up
    history: tuple[Epoch, ...]
    best_epoch: int  # from 1; 0 before the first
    stop: Stop
    now: Mapping[str, Array]
    best: Mapping[str, Array]


def write_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """One file, whole or not at all: the one before stays until this one is on the disk."""
    record = {
        "identity": checkpoint.identity,
        "history": [epoch.record() for epoch in checkpoint.history],
        "best_epoch": checkpoint.best_epoch,
        "stop": checkpoint.stop.value,
    }
    arrays = {RECORD: np.frombuffer(json_text(record).encode(), np.uint8)}
    arrays |= {NOW + name: array for name, array in checkpoint.now.items()}
    arrays |= {BEST + name: array for name, array in checkpoint.best.items()}
    write_arrays(folder / CHECKPOINT_FILE, arrays)


def read_checkpoint(folder: Path, *, identity: str) -> Checkpoint | None:
    """The checkpoint of this very fit, or None where there is none yet."""
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    arrays = read_arrays(path)
    try:
        record = json.loads(arrays[RECORD].tobytes())
        found = _checkpoint(record, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(path, f"not a checkpoint ({error})", HINT, code="invalid-format") from error
    if found.identity != identity:
        what = "checkpoint of a training with different options, pictures or network"
        raise InputError(path, what, HINT, code="checkpoint-mismatch")
    return found


def read_history(path: Path) -> tuple[Epoch, ...]:
    """The epochs of any fit's checkpoint; whose it is, is not asked."""
    try:
        record = json.loads(read_arrays(path)[RECORD].tobytes())
        return tuple(epoch_from(epoch) for epoch in record["history"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(path, f"not a checkpoint ({error})", HINT, code="invalid-format") from error


def _checkpoint(record: Mapping[str, Any], arrays: Mapping[str, Array]) -> Checkpoint:
    return Checkpoint(
        identity=str(record["identity"]),
        history=tuple(epoch_from(epoch) for epoch in record["history"]),
        best_epoch=int(record["best_epoch"]),
        stop=Stop(record["stop"]),
        now=_below(NOW, arrays),
        best=_below(BEST, arrays),
    )


def _below(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
