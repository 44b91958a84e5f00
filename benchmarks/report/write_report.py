"""Write a report: report.json is the truth, the pages are made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.report.accuracy_sections import flips_shown
from benchmarks.report.build_record import build_record
from benchmarks.report.markdown import markdown
from benchmarks.report.page import page
from benchmarks.report.record_file import RECORD_FILE, record_text
from benchmarks.report.schema import Record
from dermpack.errors import MissingExtraError
from dermpack.reporting.contact_sheet import contact_sheet
from dermpack.reporting.page import Media
from dermpack.storage.files import new_folder, refuse_existing, write_bytes

PAGE_FILE, MARKDOWN_FILE, SHEET_FILE = "report.html", "report.md", "flipped.jpg"
NEEDED = ("jinja2", "matplotlib")


def check_report(folder: Path, *, overwrite: bool) -> None:
    """Say before anything is measured that no report could be written."""
    refuse_existing(folder, marker=RECORD_FILE, overwrite=overwrite)
    for module in NEEDED:
        if find_spec(module) is None:
            raise MissingExtraError(module, "data")


def write_report(
    measured: Sequence[TargetMeasurement],
    plan: BenchmarkPlan,
    folder: Path,
    *,
    with_pictures: bool = True,
    overwrite: bool = False,
) -> Record:
    """Derive the record, render it, write the folder whole or not at all."""
    record = build_record(measured, plan)
    files = render(record, pictures=_files(plan) if with_pictures else {})
    with new_folder(folder, marker=RECORD_FILE, overwrite=overwrite) as partial:
        for name, data in files.items():
            write_bytes(partial / name, data)
    return record


def render(record: Record, *, pictures: Mapping[str, Path] | None = None) -> dict[str, bytes]:
    """File name → bytes; `pictures` says where those are that a contact sheet may show."""
    sheet = _sheet(record, pictures or {})
    texts = {
        RECORD_FILE: record_text(record),
        PAGE_FILE: page(record, sheet=sheet),
        MARKDOWN_FILE: markdown(record),
    }
    shown = {SHEET_FILE: sheet} if sheet else {}
    return {**{name: text.encode("utf-8") for name, text in texts.items()}, **shown}


def _files(plan: BenchmarkPlan) -> dict[str, Path]:
    if plan.scored is None:
        return {}
    return {of.path: plan.scored.dataset.file(of) for of in plan.scored.pictures}


def _sheet(record: Record, pictures: Mapping[str, Path]) -> bytes | None:
    """The pictures that the page names: of the first model and place where any flipped."""
    drop = next((of for of in record.drops if of.flips), None)
    entries = [
        (pictures[of.picture], (of.truth, of.first, f"> {of.here}"))
        for of in (flips_shown(drop) if drop else [])
        if of.picture in pictures
    ]
    return contact_sheet(entries, media=Media.JPEG) if entries else None
