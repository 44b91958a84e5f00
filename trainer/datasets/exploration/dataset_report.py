"""Write the report of a dataset: report.json with all values, and a page with plots and contact sheets."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath
from random import Random
from typing import Any

from dermpack.dataset.manifest import Dataset, Picture
from dermpack.errors import OutputError
from dermpack.progress import Track, silent
from dermpack.reporting.contact_sheet import contact_sheet
from dermpack.reporting.page import Image, Media, image_files, render_page
from dermpack.storage.codec import encode
from dermpack.storage.files import check_output_folder, format_json, new_folder, write_bytes, write_text
from trainer.datasets.exploration.dataset_warnings import find_warnings
from trainer.datasets.exploration.explore import collect_pictures, explore_dataset
from trainer.datasets.exploration.report_sections import create_sections
from trainer.datasets.splits.split import cluster_of

SCHEMA = 1
RECORD_FILE, PAGE_FILE = "report.json", "report.html"
PICTURES_PER_CLASS = 24
MIN_PER_CLASS, MAX_ON_PAGE = 4, 1200  # pictures on contact sheets
CELL, COLUMNS = 112, 4  # pixels, pictures a row: readable side by side on a wide page, and alone on a phone
MAX_DUPLICATES, MAX_PER_CLUSTER = 24, 4


def write_dataset_report(
    dataset: Dataset,
    folder: Path,
    *,
    seed: int = 0,
    pictures: int = PICTURES_PER_CLASS,
    overwrite: bool = False,
    track: Track = silent,
) -> dict[str, Any]:
    """Write the report and return its record; the folder appears complete or not at all.

    `pictures=0` omits contact sheets.
    """
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
    record = {
        "schema": SCHEMA,
        "dataset_sha256": dataset.sha256,
        "source": dataset.source,
        "format": dataset.format,
        "licence": dataset.licence,
        "seed": seed,
        "pictures": exploration.pictures,
        "leaks": exploration.kinship.leaks,
        "remarks": encode(find_warnings(exploration)),
        "exploration": encode(exploration),
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
            sheets.append(_create_sheet(dataset, chosen, caption))
    return sheets


def create_duplicate_sheet(dataset: Dataset) -> Image | None:
    """Return a contact sheet with near duplicates side by side, or None without any."""
    clusters = collect_pictures(dataset.pictures, cluster_of).values()
    if not clusters:
        return None
    # Clusters with several labels first: one of the labels may be wrong.
    ordered = sorted(clusters, key=lambda members: (-len({p.label for p in members}), members[0].path))
    shown = [picture for members in ordered for picture in members[:MAX_PER_CLUSTER]][:MAX_DUPLICATES]
    caption = f"Near duplicates side by side: {len(shown):,} of {sum(map(len, ordered)):,} pictures"
    return _create_sheet(dataset, shown, caption)


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


def _create_sheet(dataset: Dataset, pictures: list[Picture], caption: str) -> Image:
    entries = [(dataset.file(picture), (PurePosixPath(picture.path).stem,)) for picture in pictures]
    # As a JPEG file, so that a page with a hundred pictures stays small.
    data = contact_sheet(entries, cell=CELL, columns=COLUMNS, media=Media.JPEG)
    alt = f"Contact sheet, {caption}"
    return Image(data=data, alt=alt, caption=caption, media=Media.JPEG, is_photograph=True)
