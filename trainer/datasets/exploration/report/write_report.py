"""Write the report of a dataset: report.json is the truth, the page and the plots are drawn from it."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path

from dermpack.dataset.manifest import Dataset
from dermpack.errors import OutputError
from dermpack.progress import Track, silent
from dermpack.reporting.page import image_files, render_page
from dermpack.storage.files import json_text, new_folder, refuse_existing, write_bytes, write_text
from trainer.datasets.checks.dataset_warnings import remarks
from trainer.datasets.exploration.explore import Exploration, explore
from trainer.datasets.exploration.report import portrait
from trainer.datasets.exploration.sample_sheets import class_lineups, cluster_lineup

SCHEMA = 1
RECORD_FILE, PAGE_FILE = "report.json", "report.html"
PICTURES_PER_CLASS = 24
FEWEST_SHOWN, MOST_SHOWN = 4, 1200  # of one class; on the whole page


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """Where the report is, and the record that it holds."""

    page: Path
    record: dict[str, object]
    absent: int  # pictures that are not there


def write_report(
    dataset: Dataset,
    folder: Path,
    *,
    seed: int = 0,
    pictures: int = PICTURES_PER_CLASS,
    overwrite: bool = False,
    track: Track = silent,
) -> WrittenReport:
    """Explore, draw, write: the folder appears whole or not at all; no pictures with `pictures=0`."""
    _refuse_inside(dataset, folder)
    refuse_existing(folder, marker=RECORD_FILE, overwrite=overwrite)
    exploration = replace(explore(dataset, seed=seed, track=track), absent=absent(dataset))
    lineups = class_lineups(
        dataset, pictures=pictures_shown(pictures, classes=len(dataset.classes)), seed=seed, track=track
    )
    near = cluster_lineup(dataset) if pictures else None
    sections = portrait(dataset, exploration, lineups=lineups, near=near)
    subtitle = f"A look at {exploration.pictures:,} pictures before anybody trains on them"
    page = render_page(f"Dataset {dataset.folder.resolve().name}", subtitle=subtitle, sections=sections)
    record = report_record(dataset, exploration, seed=seed)
    with new_folder(folder, marker=RECORD_FILE, overwrite=overwrite) as beside:
        for name, data in image_files(sections).items():
            write_bytes(beside / name, data)
        write_text(beside / PAGE_FILE, page)
        write_text(beside / RECORD_FILE, json_text(record))
    return WrittenReport(page=folder / PAGE_FILE, record=record, absent=exploration.absent)


def absent(dataset: Dataset) -> int:
    """How many pictures are not where the dataset looks for them."""
    return sum(not os.path.lexists(dataset.file(picture)) for picture in dataset.pictures)


def pictures_shown(pictures: int, *, classes: int) -> int:
    """Fewer pictures a class where there are very many classes: the page must stay one that opens."""
    return min(pictures, max(FEWEST_SHOWN, MOST_SHOWN // max(classes, 1)))


def report_record(dataset: Dataset, exploration: Exploration, *, seed: int) -> dict[str, object]:
    """What report.json holds; `dataset_sha256` names the dataset that it was made from."""
    return {
        "schema": SCHEMA,
        "dataset_sha256": dataset.sha256,
        "source": dataset.source,
        "format": dataset.format,
        "licence": dataset.licence,
        "seed": seed,
        "pictures": exploration.pictures,
        "leaks": exploration.kinship.leaks,
        "remarks": plain(remarks(exploration)),
        "exploration": plain(exploration),
    }


def plain(value: object) -> object:
    """Dataclasses, enums and tuples as JSON has them."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _refuse_inside(dataset: Dataset, folder: Path) -> None:
    if folder.resolve().is_relative_to(dataset.folder.resolve()):
        what = f"the output is inside the dataset {dataset.folder}"
        raise OutputError(folder, what, "Choose another output.", code="output-inside-input")
