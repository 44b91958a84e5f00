"""Choose the pictures of each class that a person looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from random import Random

from dermpack.dataset.manifest import Dataset, Picture
from dermpack.progress import Track
from dermpack.reporting.contact_sheet import contact_sheet
from dermpack.reporting.page import Media

CELL, COLUMNS = 112, 4  # readable side by side on a wide page, and alone on a phone
CLUSTER_PICTURES = 24
PER_CLUSTER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSheet:
    """A contact sheet, and what is on it."""

    title: str
    shown: int
    of: int
    sheet: bytes  # JPEG: a page with a hundred pictures stays small


def class_lineups(dataset: Dataset, *, pictures: int, seed: int, track: Track) -> list[SampleSheet]:
    """A sheet a class: other lesions before further pictures of the same one."""
    lineups = []
    for label in track(dataset.classes, total=len(dataset.classes), what="contact sheets"):
        of_class = [picture for picture in dataset.pictures if picture.label == label]
        chosen = choose(of_class, most=pictures, seed=seed)
        if chosen:
            lineups.append(_lineup(dataset, label, chosen, of=len(of_class)))
    return lineups


def cluster_lineup(dataset: Dataset) -> SampleSheet | None:
    """Near duplicates next to each other: are they the same lesion?"""
    clusters: dict[str, list[Picture]] = {}
    for picture in dataset.pictures:
        if picture.cluster:
            clusters.setdefault(picture.cluster, []).append(picture)
    of_several = sorted(
        clusters.values(), key=lambda together: (-len({p.label for p in together}), together[0].path)
    )
    shown = [picture for together in of_several for picture in together[:PER_CLUSTER]][:CLUSTER_PICTURES]
    of = sum(map(len, clusters.values()))
    return _lineup(dataset, "near duplicates", shown, of=of) if shown else None


def choose(pictures: list[Picture], *, most: int, seed: int) -> list[Picture]:
    """A random choice that shows as many groups as it can; the same seed chooses the same."""
    shuffled = sorted(pictures, key=lambda picture: picture.path)
    Random(f"{seed}").shuffle(shuffled)
    seen: set[str] = set()
    first: list[Picture] = []
    further: list[Picture] = []
    for picture in shuffled:
        (further if picture.group and picture.group in seen else first).append(picture)
        seen.add(picture.group)
    return [*first, *further][:most]


def _lineup(dataset: Dataset, title: str, chosen: list[Picture], *, of: int) -> SampleSheet:
    entries = [
        (dataset.file(picture), (caption,))
        for picture, caption in zip(chosen, _captions(chosen), strict=True)
    ]
    sheet = contact_sheet(entries, cell=CELL, columns=COLUMNS, media=Media.JPEG)
    return SampleSheet(title=title, shown=len(chosen), of=of, sheet=sheet)


def _captions(pictures: list[Picture]) -> Iterator[str]:
    return (PurePosixPath(picture.path).stem for picture in pictures)
