"""What a person asks of a source: its layout, and the task to make of its classes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class SourceFormat(Enum):
    """The layouts of a source; AUTO finds out which one it is."""

    AUTO = "auto"
    FOLDERS = "folders"
    DERMNET = "dermnet"
    ISIC = "isic"
    CSV = "csv"
    HAM10000 = "ham10000"
    HMNIST = "hmnist"
    CIFAR10 = "cifar10"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRequest:
    """Which layout to read, and which task; `metadata_file` is the table when it lies elsewhere."""

    format: SourceFormat = SourceFormat.AUTO
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    map_file: Path | None = None
    metadata_file: Path | None = None
