"""Write the folder of a report: report.json, and the page and the Markdown rendered from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.report.accuracy_sections import shown_flips
from benchmarks.report.build_record import build_record
from benchmarks.report.latency_sections import device_text, timing_text
from benchmarks.report.page import benchmark_page, overview_table, page_subtitle, page_title
from benchmarks.report.record_file import RECORD_FILE, record_text
from benchmarks.report.schema import Record, results_on
from benchmarks.report.text import EMULATED, notes, summary, warnings
from dermpack.errors import MissingExtraError
from dermpack.reporting.contact_sheet import contact_sheet
from dermpack.reporting.markdown import render_markdown_template
from dermpack.reporting.page import RESEARCH_ONLY, Media, is_figure
from dermpack.storage.files import check_output_folder, new_folder, write_bytes

PAGE_FILE, MARKDOWN_FILE, SHEET_FILE = "report.html", "report.md", "flipped.jpg"
TEMPLATE = Path(__file__).parent / "report.md.j2"
REQUIRED_MODULES = ("jinja2", "matplotlib")
MOST_REMARKS = 10  # of a kind, in Markdown: a pull request shows all of it


def check_report_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise, before anything is measured, if the report could not be written."""
    check_output_folder(folder, marker=RECORD_FILE, overwrite=overwrite)
    for module in REQUIRED_MODULES:
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
    """Derive the record, render it, and write the folder completely or not at all."""
    record = build_record(measured, plan)
    pictures: dict[str, Path] = {}
    if with_pictures and plan.scored is not None:
        pictures = {picture.path: plan.scored.dataset.file(picture) for picture in plan.scored.pictures}
    files = render_files(record, pictures=pictures)
    with new_folder(folder, marker=RECORD_FILE, overwrite=overwrite) as partial:
        for name, data in files.items():
            write_bytes(partial / name, data)
    return record


def render_files(record: Record, *, pictures: Mapping[str, Path] | None = None) -> dict[str, bytes]:
    """Return file name → bytes; `pictures` are the paths of those that a contact sheet may show."""
    # The pictures that the page lists: of the first model and place with flipped pictures.
    drop = next((drop for drop in record.drops if drop.flips), None)
    entries = [
        (pictures[flip.picture], (flip.truth, flip.first, f"> {flip.here}"))
        for flip in (shown_flips(drop) if drop and pictures else [])
        if pictures and flip.picture in pictures
    ]
    sheet = contact_sheet(entries, media=Media.JPEG) if entries else None
    texts = {
        RECORD_FILE: record_text(record),
        PAGE_FILE: benchmark_page(record, sheet=sheet),
        MARKDOWN_FILE: render_markdown(record),
    }
    shown = {SHEET_FILE: sheet} if sheet else {}
    return {**{name: text.encode("utf-8") for name, text in texts.items()}, **shown}


def render_markdown(record: Record) -> str:
    """Return the report for a pull request: one table, the summary, notes and conditions."""
    table = overview_table(record)
    columns = [[row[index] for row in table.rows] for index in range(len(table.header))]
    targets = []
    for place in record.targets:
        timed = [result for result in results_on(record, place.target) if result.times is not None]
        timing = timing_text(record, timed) if timed else ""
        targets.append((place.target, device_text(place), timing))
    is_emulated = any(place.is_emulated for place in record.targets)
    values = {
        "title": page_title(record),
        "subtitle": page_subtitle(record),
        "table": table,
        "figure_columns": [all(map(is_figure, column)) for column in columns],
        "summary": summary(record),
        "remarks": [("Note", notes(record)), ("Warning", warnings(record))],
        "most_remarks": MOST_REMARKS,
        "targets": targets,
        "emulated": EMULATED if is_emulated else "",
        "research_only": RESEARCH_ONLY,
    }
    return render_markdown_template(TEMPLATE, values)
