"""Demo pictures as a folder that looks like a download: a table, duplicates, and files that are broken."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image

from dermpack.errors import InputError
from dermpack.processes.process_pool import answers, available_jobs
from dermpack.progress import Track, silent
from dermpack.storage.files import json_text, new_folder, write_text
from dermpack.synthetic.case import Case, case, group_of
from dermpack.synthetic.scene import Pixels, views
from dermpack.synthetic.skin import TONES

RECORD_FILE, TABLE_FILE, README_FILE = "demo.json", "pictures.csv", "README.txt"
FOLDER = "pictures"
FEW = 100  # lesions; below, starting workers takes longer than the work
COLUMNS = ("picture", "label", "group", "age", "sex", "localization", "skin_tone")
DEFAULT_PICTURES, DEFAULT_SIZE = 1000, 224
SMALLEST, LARGEST = 16, 1024  # pixels; more says nothing of skin, or takes too long
MOST_PICTURES = 100_000  # names have five digits
QUALITY, WORSE_QUALITY = 90, 70  # JPEG
PERIOD = 100  # of so many pictures, one is planted in each way: twice, as a worse JPEG, and smaller
COPIED, REENCODED, RESIZED = 2, 5, 8  # which of them; early, so that few pictures have them too
README = """Demo pictures, rendered by a program (dermpack data demo).

They show no person and no disease. The names of the classes say what the shapes remind of; they mean
nothing medically, and a model that was trained on these pictures must not be used on skin.
Licence: CC0 1.0, do with them what you like.

pictures.csv names each picture, its label, its lesion (group) and made-up metadata. As in a real
download, some cells are empty, some pictures are there twice (as a copy, as a worse JPEG, smaller),
and three files are broken (cut off, empty, text).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What a folder holds, counted."""

    pictures: int  # different ones
    lesions: int
    per_class: dict[str, int]
    copies: int
    near_duplicates: int
    broken: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """All pictures of one lesion: what a worker is handed."""

    folder: Path
    numbers: tuple[int, ...]
    classes: int
    size: int
    seed: int


Row = tuple[str, ...]  # a cell per column


def render_demo(
    folder: Path,
    *,
    classes: int = 2,
    pictures: int = DEFAULT_PICTURES,
    size: int = DEFAULT_SIZE,
    seed: int = 0,
    overwrite: bool = False,
    track: Track = silent,
) -> Rendered:
    """Write so many pictures, their table and what goes wrong in real downloads; same numbers, same bytes."""
    _check(classes=classes, pictures=pictures, size=size, seed=seed)
    with new_folder(folder, marker=RECORD_FILE, overwrite=overwrite) as beside:
        (beside / FOLDER).mkdir()
        tasks = _tasks(beside, classes=classes, pictures=pictures, size=size, seed=seed)
        jobs = available_jobs() if len(tasks) >= FEW else 1
        done = dict(track(answers(_write_lesion, tasks, jobs=jobs), total=len(tasks), what="lesions"))
        rows = [row for at in range(len(tasks)) for row in done[at]]
        rows += _write_broken(beside / FOLDER, rows[0])
        rendered = _counted(rows, lesions=len(tasks))
        write_text(beside / TABLE_FILE, _table(rows))
        write_text(beside / README_FILE, README)
        write_text(beside / RECORD_FILE, json_text(_record(rendered, classes=classes, size=size, seed=seed)))
    return rendered


def _check(*, classes: int, pictures: int, size: int, seed: int) -> None:
    case(0, classes=classes, seed=0)  # raises InputError for an unknown number of classes
    for what, value, least, most in (
        ("pictures", pictures, 1, MOST_PICTURES),
        ("size", size, SMALLEST, LARGEST),
        ("seed", seed, 0, 2**32 - 1),
    ):
        if not least <= value <= most:
            where, hint = f"{what} {value}", f"Choose {least} to {most}."
            raise InputError(where, "out of range", hint, code="invalid-option")


def _tasks(folder: Path, *, classes: int, pictures: int, size: int, seed: int) -> list[_Task]:
    lesions = groupby(range(pictures), key=lambda number: group_of(number)[0])
    return [
        _Task(folder=folder, numbers=tuple(numbers), classes=classes, size=size, seed=seed)
        for _, numbers in lesions
    ]


def _write_lesion(task: _Task) -> list[Row]:
    """Render the pictures of one lesion, write them, and answer their rows."""
    group, _ = group_of(task.numbers[0])
    lesion = case(group, classes=task.classes, seed=task.seed)
    at = tuple(group_of(number)[1] for number in task.numbers)
    seen = views(group, at, classes=task.classes, size=task.size, seed=task.seed)
    rows: list[Row] = []
    for number, pixels in zip(task.numbers, seen, strict=True):
        for name, content, is_original in _files(number, pixels):
            (task.folder / FOLDER / name).write_bytes(content)
            rows.append(_row(name, lesion, is_original=is_original))
    return rows


def _files(number: int, pixels: Pixels) -> Iterator[tuple[str, bytes, bool]]:
    """The file of a picture; for some pictures, once more in another guise, as if from elsewhere."""
    name, image = f"demo_{number:05}", Image.fromarray(pixels)
    content = _jpeg(image, QUALITY)
    yield f"{name}.jpg", content, True
    turn = number % PERIOD
    if turn == COPIED:
        yield f"copy_{number:05}.jpg", content, False
    elif turn == REENCODED:
        yield f"worse_{number:05}.jpg", _jpeg(image, WORSE_QUALITY), False
    elif turn == RESIZED:
        side = max(1, image.width * 3 // 4)
        yield (
            f"small_{number:05}.jpg",
            _jpeg(image.resize((side, side), Image.Resampling.BICUBIC), QUALITY),
            False,
        )


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _row(name: str, lesion: Case, *, is_original: bool) -> Row:
    """A duplicate from elsewhere does not know its lesion, or else finding it would be no art."""
    group = f"lesion_{lesion.group:05}" if is_original else ""
    return (
        *(f"{FOLDER}/{name}", lesion.label, group),
        *(lesion.age, lesion.sex, lesion.localization, TONES[lesion.tone]),
    )


def _write_broken(folder: Path, row: Row) -> list[Row]:
    """Three files that are no pictures, with rows as if they were."""
    whole = (folder.parent / row[0]).read_bytes()
    broken = {
        "broken_cut_off.jpg": whole[: len(whole) // 2],
        "broken_empty.jpg": b"",
        "broken_text.jpg": b"This is not a picture.\n",
    }
    for name, content in broken.items():
        (folder / name).write_bytes(content)
    return [(f"{FOLDER}/{name}", row[1], "", "", "", "", "") for name in broken]


def _counted(rows: list[Row], *, lesions: int) -> Rendered:
    kinds = Counter(row[0].removeprefix(f"{FOLDER}/").partition("_")[0] for row in rows)
    labels = Counter(row[1] for row in rows if row[0].startswith(f"{FOLDER}/demo_"))
    return Rendered(
        pictures=kinds["demo"],
        lesions=lesions,
        per_class=dict(sorted(labels.items())),
        copies=kinds["copy"],
        near_duplicates=kinds["worse"] + kinds["small"],
        broken=kinds["broken"],
    )


def _table(rows: list[Row]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(sorted(rows))
    return buffer.getvalue()


def _record(rendered: Rendered, *, classes: int, size: int, seed: int) -> dict[str, object]:
    return {
        "schema": 1,
        "licence": "CC0-1.0; generated, they mean nothing medically",
        "classes": classes,
        "size": size,
        "seed": seed,
        "pictures": rendered.pictures,
        "lesions": rendered.lesions,
        "per_class": rendered.per_class,
        "copies": rendered.copies,
        "near_duplicates": rendered.near_duplicates,
        "broken": rendered.broken,
    }
