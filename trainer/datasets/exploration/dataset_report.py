"""Write the report of a dataset: report.json with all values, and a page with plots and contact sheets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from random import Random
from typing import Any

from dermpack.dataset.manifest import Dataset, Picture
from dermpack.errors import OutputError
from dermpack.progress import Track, silent
from dermpack.reporting.contact_sheet import Entry, contact_sheet
from dermpack.reporting.page import Image, Media, image_files, render_page
from dermpack.storage.codec import encode
from dermpack.storage.files import check_output_folder, format_json, new_folder, write_bytes, write_text
from trainer.datasets.exploration.dataset_warnings import find_warnings
from trainer.datasets.exploration.duplicate_sections import create_duplicate_sections
from trainer.datasets.exploration.explore import explore_dataset
from trainer.datasets.exploration.pixels.analysis_sections import UNUSUAL
from trainer.datasets.exploration.pixels.picture_analysis import (
    MAX_ANALYSED,
    PictureAnalysis,
    analyse_pictures,
)
from trainer.datasets.exploration.report_sections import create_sections

SCHEMA = 2  # 2: with the analysis of the pixels
RECORD_FILE, PAGE_FILE = "report.json", "report.html"
PICTURES_PER_CLASS = 24
MIN_PER_CLASS, MAX_ON_PAGE = 4, 1200  # pictures on contact sheets
CELL, COLUMNS = 112, 4  # pixels, pictures a row: readable side by side on a wide page, and alone on a phone
MAX_SUSPECTS, MAX_UNUSUAL = 24, 12  # pictures on a sheet


def write_dataset_report(
    dataset: Dataset,
    folder: Path,
    *,
    seed: int = 0,
    pictures: int = PICTURES_PER_CLASS,
    most_analysed: int = MAX_ANALYSED,
    with_features: bool = True,
    overwrite: bool = False,
    track: Track = silent,
) -> dict[str, Any]:
    """Write the report and return its record; the folder appears complete or not at all.

    `pictures=0` omits contact sheets, `most_analysed=0` the analysis of the pixels; `with_features=False`
    omits the part of it that needs an interpreter.
    """
    if folder.resolve().is_relative_to(dataset.folder.resolve()):
        what = f"the output is inside the dataset {dataset.folder}"
        raise OutputError(folder, what, "Choose another output.", code="output-inside-input")
    check_output_folder(folder, marker=RECORD_FILE, overwrite=overwrite)
    absent = sum(not os.path.lexists(dataset.file(picture)) for picture in dataset.pictures)
    exploration = replace(explore_dataset(dataset, seed=seed, track=track), absent=absent)
    analysis = None
    if most_analysed:
        analysis = analyse_pictures(
            dataset, seed=seed, most=most_analysed, with_features=with_features, track=track
        )
    per_class = limit_pictures(pictures, classes=len(dataset.classes))
    sections = create_sections(
        dataset,
        exploration,
        class_sheets=create_class_sheets(dataset, pictures=per_class, seed=seed, track=track),
        duplicate_sections=create_duplicate_sections(dataset, with_pictures=pictures > 0),
        analysis=analysis,
        analysis_sheets=create_analysis_sheets(dataset, analysis) if pictures and analysis else {},
    )
    subtitle = f"{exploration.pictures:,} pictures, described before training"
    page = render_page(f"Dataset {dataset.folder.resolve().name}", subtitle=subtitle, sections=sections)
    record = {
        "schema": SCHEMA,
        "dataset_sha256": dataset.sha256,
        "source": dataset.source,
        "format": dataset.format,
        "licence": dataset.licence,
        "seed": seed,
        "pictures": exploration.pictures,
        "leaks": exploration.kinship.leaks,
        "remarks": encode(find_warnings(exploration, analysis)),
        "exploration": encode(exploration),
        "analysis": encode(analysis),
    }
    # All work is done before the folder is created: a failure leaves nothing behind.
    with new_folder(folder, marker=RECORD_FILE, overwrite=overwrite) as new:
        for name, data in image_files(sections).items():
            write_bytes(new / name, data)
        write_text(new / PAGE_FILE, page)
        write_text(new / RECORD_FILE, format_json(record))
    return record


def limit_pictures(pictures: int, *, classes: int) -> int:
    """Return fewer pictures per class if there are very many classes, so that browsers can open the page."""
    return min(pictures, max(MIN_PER_CLASS, MAX_ON_PAGE // max(classes, 1)))


def create_class_sheets(dataset: Dataset, *, pictures: int, seed: int, track: Track) -> list[Image]:
    """Return a contact sheet for each class with pictures."""
    sheets = []
    for label in track(dataset.classes, total=len(dataset.classes), what="contact sheets"):
        candidates = [picture for picture in dataset.pictures if picture.label == label]
        chosen = choose_pictures(candidates, most=pictures, seed=seed)
        if chosen:
            caption = f"{label}: {len(chosen):,} of {len(candidates):,} pictures"
            entries = [(dataset.file(picture), (PurePosixPath(picture.path).stem,)) for picture in chosen]
            sheets.append(_create_sheet(entries, caption))
    return sheets


def create_analysis_sheets(dataset: Dataset, analysis: PictureAnalysis) -> dict[str, Image]:
    """Return a contact sheet of the suspected label errors and of each kind of unusual picture."""
    suspects = analysis.label_errors.suspects[:MAX_SUSPECTS]
    captions = {"label_errors": "The most suspicious pictures: given label → suggested label, odds"}
    entries: dict[str, list[tuple[str, tuple[str, ...]]]] = {
        "label_errors": [
            (one.picture, (one.label, f"→ {one.suggested}", f"odds {one.odds:,.0f}")) for one in suspects
        ]
    }
    for name, (title, *_) in UNUSUAL.items():
        if (kind := getattr(analysis.unusual, name)) is not None:
            shown = kind.pictures[:MAX_UNUSUAL]
            captions[name] = f"{title.capitalize()}: {len(shown):,} of {kind.found:,} pictures"
            entries[name] = [(one.picture, (one.label,)) for one in shown]
    files = {picture.path: dataset.file(picture) for picture in dataset.pictures}
    return {
        name: _create_sheet(
            [(files[path], (PurePosixPath(path).stem, *lines)) for path, lines in listed], captions[name]
        )
        for name, listed in entries.items()
        if listed
    }


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


def _create_sheet(entries: Sequence[Entry], caption: str) -> Image:
    # As a JPEG file, so that a page with a hundred pictures stays small.
    data = contact_sheet(entries, cell=CELL, columns=COLUMNS, media=Media.JPEG)
    alt = f"Contact sheet, {caption}"
    return Image(data=data, alt=alt, caption=caption, media=Media.JPEG, is_photograph=True)
