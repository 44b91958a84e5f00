"""Create contact sheets: a sample of each class, and near duplicates side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from random import Random

from dermpack.dataset.manifest import Dataset, Picture
from dermpack.progress import Track
from dermpack.reporting.contact_sheet import contact_sheet
from dermpack.reporting.page import Media

CELL, COLUMNS = 112, 4  # pixels, pictures a row: readable side by side on a wide page, and alone on a phone
MAX_DUPLICATES = 24
MAX_PER_CLUSTER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSheet:
    """A contact sheet with `shown` of `total` pictures."""

    title: str
    shown: int
    total: int
    sheet: bytes  # JPEG: a page with a hundred pictures stays small


def create_class_sheets(dataset: Dataset, *, pictures: int, seed: int, track: Track) -> list[SampleSheet]:
    """Return a sheet for each class with pictures."""
    sheets = []
    for label in track(dataset.classes, total=len(dataset.classes), what="contact sheets"):
        candidates = [picture for picture in dataset.pictures if picture.label == label]
        chosen = choose_pictures(candidates, most=pictures, seed=seed)
        if chosen:
            sheets.append(_create_sheet(dataset, label, chosen, total=len(candidates)))
    return sheets


def create_duplicate_sheet(dataset: Dataset) -> SampleSheet | None:
    """Return a sheet with near duplicates side by side, or None without any."""
    clusters: dict[str, list[Picture]] = {}
    for picture in dataset.pictures:
        if picture.cluster:
            clusters.setdefault(picture.cluster, []).append(picture)
    if not clusters:
        return None
    # Clusters with several labels first: one of the labels may be wrong.
    ordered = sorted(
        clusters.values(), key=lambda members: (-len({p.label for p in members}), members[0].path)
    )
    shown = [picture for members in ordered for picture in members[:MAX_PER_CLUSTER]][:MAX_DUPLICATES]
    return _create_sheet(dataset, "near duplicates", shown, total=sum(map(len, ordered)))


def choose_pictures(pictures: list[Picture], *, most: int, seed: int) -> list[Picture]:
    """Return a random sample with as many groups as possible; it depends on the seed alone."""
    shuffled = sorted(pictures, key=lambda picture: picture.path)
    Random(f"{seed}").shuffle(shuffled)
    seen: set[str] = set()
    first: list[Picture] = []
    repeated: list[Picture] = []
    for picture in shuffled:
        (repeated if picture.group and picture.group in seen else first).append(picture)
        seen.add(picture.group)
    return [*first, *repeated][:most]


def _create_sheet(dataset: Dataset, title: str, pictures: list[Picture], *, total: int) -> SampleSheet:
    entries = [(dataset.file(picture), (PurePosixPath(picture.path).stem,)) for picture in pictures]
    sheet = contact_sheet(entries, cell=CELL, columns=COLUMNS, media=Media.JPEG)
    return SampleSheet(title=title, shown=len(pictures), total=total, sheet=sheet)
