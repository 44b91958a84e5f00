"""The options of an import."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from dermpack.imaging import DEFAULT_LIMITS, DecodingLimits
from trainer.datasets.layouts.listing import SourceRequest
from trainer.datasets.splits.split import Shares


class SplitPolicy(Enum):
    """What to do with the splits that a source gives."""

    AS_GIVEN = "as given"  # keep them, if there are any
    MENDED = "mended"  # keep them, and leave out training pictures that leak
    NEW = "new"


class PictureStorage(Enum):
    """Where the pictures are after the import."""

    IN_PLACE = "in place"
    COPIED = "copied"


class UnusablePolicy(Enum):
    """What to do when a picture cannot be used."""

    LISTED = "listed"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """The options of one import; `shares=None` means 70/15/15, `jobs=None` all processors."""

    source: Path
    output: Path
    reading: SourceRequest = field(default_factory=SourceRequest)
    shares: Shares | None = None
    seed: int = 0
    group_column: str = ""
    splits: SplitPolicy = SplitPolicy.AS_GIVEN
    storage: PictureStorage = PictureStorage.IN_PLACE
    refusals: UnusablePolicy = UnusablePolicy.LISTED
    overwrite: bool = False
    licence: str = ""
    caution: str = ""
    limits: DecodingLimits = DEFAULT_LIMITS
    jobs: int | None = None
