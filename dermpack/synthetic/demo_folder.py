"""Write demo pictures as a folder that looks like a download: a table, duplicates and broken files."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from PIL import Image

from dermpack.errors import InputError
from dermpack.processes.process_pool import available_jobs, map_in_processes
from dermpack.progress import Track, silent
from dermpack.storage.files import format_csv, format_json, new_folder, write_text
from dermpack.synthetic.lesions import TONES
from dermpack.synthetic.scenes import Pixels, draw_case, group_of, render_views

RECORD_FILE, TABLE_FILE, README_FILE = "demo.json", "pictures.csv", "README.txt"
FOLDER = "pictures"
MIN_PARALLEL_LESIONS = 100  # below, starting the workers takes longer than the work
COLUMNS = ("picture", "label", "group", "age", "sex", "localization", "skin_tone")
DEFAULT_PICTURES, DEFAULT_SIZE = 1000, 224
MIN_SIZE, MAX_SIZE = 16, 1024  # pixels; smaller ones show nothing of skin, larger ones take too long
MAX_PICTURES = 100_000  # names have five digits
QUALITY, WORSE_QUALITY = 90, 70  # JPEG
# Of PERIOD pictures, these three have a duplicate: they come early, so that small folders have them too.
PERIOD = 100
COPIED, REENCODED, RESIZED = 2, 5, 8
README = """Demo pictures, rendered by a program (dermpack data demo).

They show no person and no disease. The shapes resemble the classes that they are named after; they have
no medical meaning, and a model that was trained on these pictures must not be used on skin.
Licence: CC0 1.0, do with them what you like.

pictures.csv names each picture, its label, its lesion (group) and made-up metadata. As in a real
download, some cells are empty, some pictures are there twice (as a copy, as a worse JPEG, smaller),
and three files are broken (cut off, empty, text).
"""
BROKEN_TEXT = b"This is not a picture.\n"

Row = tuple[str, ...]  # one cell per column


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The counts of a demo folder."""

    pictures: int  # without duplicates
    lesions: int
    per_class: dict[str, int]
    copies: int
    near_duplicates: int
    broken: int


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
    """Write the pictures, their table and a record into a new folder; same arguments, same bytes."""
    _check_options(classes=classes, pictures=pictures, size=size, seed=seed)
    with new_folder(folder, marker=RECORD_FILE, overwrite=overwrite) as beside:
        (beside / FOLDER).mkdir()
        # A worker process writes all pictures of a lesion, so that its patch is painted once.
        by_lesion = groupby(range(pictures), key=lambda number: group_of(number)[0])
        tasks = [tuple(numbers) for _, numbers in by_lesion]
        write = partial(_write_lesion, folder=beside, classes=classes, size=size, seed=seed)
        jobs = available_jobs() if len(tasks) >= MIN_PARALLEL_LESIONS else 1
        done = dict(track(map_in_processes(write, tasks, jobs=jobs), total=len(tasks), what="lesions"))
        rows = [row for index in range(len(tasks)) for row in done[index]]
        rows += _write_broken_files(beside / FOLDER, rows[0])
        kinds = Counter(row[0].removeprefix(f"{FOLDER}/").partition("_")[0] for row in rows)
        labels = Counter(row[1] for row in rows if row[0].startswith(f"{FOLDER}/demo_"))
        rendered = Rendered(
            pictures=kinds["demo"],
            lesions=len(tasks),
            per_class=dict(sorted(labels.items())),
            copies=kinds["copy"],
            near_duplicates=kinds["worse"] + kinds["small"],
            broken=kinds["broken"],
        )
        write_text(beside / TABLE_FILE, format_csv([COLUMNS, *sorted(rows)]))
        write_text(beside / README_FILE, README)
        record = {
            "schema": 1,
            "licence": "CC0-1.0; generated, they mean nothing medically",
            "classes": classes,
            "size": size,
            "seed": seed,
            **asdict(rendered),
        }
        write_text(beside / RECORD_FILE, format_json(record))
    return rendered


def _check_options(*, classes: int, pictures: int, size: int, seed: int) -> None:
    draw_case(0, classes=classes, seed=0)  # raises InputError for an unknown number of classes
    for what, value, least, most in (
        ("pictures", pictures, 1, MAX_PICTURES),
        ("size", size, MIN_SIZE, MAX_SIZE),
        ("seed", seed, 0, 2**32 - 1),
    ):
        if not least <= value <= most:
            where, hint = f"{what} {value}", f"Choose {least} to {most}."
            raise InputError(where, "out of range", hint, code="invalid-option")


def _write_lesion(numbers: tuple[int, ...], *, folder: Path, classes: int, size: int, seed: int) -> list[Row]:
    """Render and write the pictures of one lesion; return their rows of the table."""
    group, _ = group_of(numbers[0])
    lesion = draw_case(group, classes=classes, seed=seed)
    views = tuple(group_of(number)[1] for number in numbers)
    pictures = render_views(group, views, classes=classes, size=size, seed=seed)
    metadata = (lesion.age, lesion.sex, lesion.localization, TONES[lesion.tone])
    rows: list[Row] = []
    for number, pixels in zip(numbers, pictures, strict=True):
        for name, content in _picture_files(number, pixels):
            (folder / FOLDER / name).write_bytes(content)
            # Duplicates do not name their lesion; otherwise finding them would be trivial.
            named_group = f"lesion_{group:05}" if name.startswith("demo_") else ""
            rows.append((f"{FOLDER}/{name}", lesion.label, named_group, *metadata))
    return rows


def _picture_files(number: int, pixels: Pixels) -> Iterator[tuple[str, bytes]]:
    """Yield the file of a picture and, for some pictures, a duplicate as if from another source."""
    image = Image.fromarray(pixels)
    content = _encode_jpeg(image, QUALITY)
    yield f"demo_{number:05}.jpg", content
    position = number % PERIOD
    if position == COPIED:
        yield f"copy_{number:05}.jpg", content
    elif position == REENCODED:
        yield f"worse_{number:05}.jpg", _encode_jpeg(image, WORSE_QUALITY)
    elif position == RESIZED:
        side = max(1, image.width * 3 // 4)
        smaller = image.resize((side, side), Image.Resampling.BICUBIC)
        yield f"small_{number:05}.jpg", _encode_jpeg(smaller, QUALITY)


def _encode_jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _write_broken_files(folder: Path, row: Row) -> list[Row]:
    """Write three files that cannot be decoded; return their rows of the table."""
    whole = (folder.parent / row[0]).read_bytes()
    broken = {
        "broken_cut_off.jpg": whole[: len(whole) // 2],
        "broken_empty.jpg": b"",
        "broken_text.jpg": BROKEN_TEXT,
    }
    for name, content in broken.items():
        (folder / name).write_bytes(content)
    return [(f"{FOLDER}/{name}", row[1], "", "", "", "", "") for name in broken]
