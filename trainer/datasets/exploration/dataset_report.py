"""Write the report of a dataset: report.json with all values, and a page with plots drawn from them."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path

from dermpack.dataset.manifest import Dataset
from dermpack.errors import OutputError
from dermpack.progress import Track, silent
from dermpack.reporting.page import image_files, render_page
from dermpack.storage.files import check_output_folder, format_json, new_folder, write_bytes, write_text
from trainer.datasets.checks.dataset_warnings import find_warnings
from trainer.datasets.exploration.explore import explore_dataset
from trainer.datasets.exploration.report_sections import create_sections
from trainer.datasets.exploration.sample_sheets import create_class_sheets, create_duplicate_sheet

SCHEMA = 1
RECORD_FILE, PAGE_FILE = "report.json", "report.html"
PICTURES_PER_CLASS = 24
MIN_PER_CLASS, MAX_ON_PAGE = 4, 1200  # pictures on contact sheets


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """The page of a report and its record."""

    page: Path
    record: dict[str, object]
    absent: int  # pictures whose file is missing


def write_dataset_report(
    dataset: Dataset,
    folder: Path,
    *,
    seed: int = 0,
    pictures: int = PICTURES_PER_CLASS,
    overwrite: bool = False,
    track: Track = silent,
) -> WrittenReport:
    """Write the report; the folder appears complete or not at all. `pictures=0` omits contact sheets."""
    if folder.resolve().is_relative_to(dataset.folder.resolve()):
        what = f"the output is inside the dataset {dataset.folder}"
        raise OutputError(folder, what, "Choose another output.", code="output-inside-input")
    check_output_folder(folder, marker=RECORD_FILE, overwrite=overwrite)
    absent = sum(not os.path.lexists(dataset.file(picture)) for picture in dataset.pictures)
    exploration = replace(explore_dataset(dataset, seed=seed, track=track), absent=absent)
    per_class = limit_pictures(pictures, classes=len(dataset.classes))
    sections = create_sections(
        dataset,
        exploration,
        class_sheets=create_class_sheets(dataset, pictures=per_class, seed=seed, track=track),
        duplicate_sheet=create_duplicate_sheet(dataset) if pictures else None,
    )
    subtitle = f"{exploration.pictures:,} pictures, described before training"
    page = render_page(f"Dataset {dataset.folder.resolve().name}", subtitle=subtitle, sections=sections)
    record: dict[str, object] = {
        "schema": SCHEMA,
        "dataset_sha256": dataset.sha256,
        "source": dataset.source,
        "format": dataset.format,
        "licence": dataset.licence,
        "seed": seed,
        "pictures": exploration.pictures,
        "leaks": exploration.kinship.leaks,
        "remarks": _to_json(find_warnings(exploration)),
        "exploration": _to_json(exploration),
    }
    # All work is done before the folder is created: a failure leaves nothing behind.
    with new_folder(folder, marker=RECORD_FILE, overwrite=overwrite) as new:
        for name, data in image_files(sections).items():
            write_bytes(new / name, data)
        write_text(new / PAGE_FILE, page)
        write_text(new / RECORD_FILE, format_json(record))
    return WrittenReport(page=folder / PAGE_FILE, record=record, absent=absent)


def limit_pictures(pictures: int, *, classes: int) -> int:
    """Return fewer pictures per class if there are very many classes, so that browsers can open the page."""
    return min(pictures, max(MIN_PER_CLASS, MAX_ON_PAGE // max(classes, 1)))


def _to_json(value: object) -> object:
    """Return dataclasses, enums and tuples as JSON values."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {field.name: _to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    return value
