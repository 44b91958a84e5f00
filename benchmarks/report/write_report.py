"""Write the folder of a report: report.json, and the HTML page and the Markdown rendered from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.report.accuracy_sections import accuracy_sections, shown_flips
from benchmarks.report.build_record import build_record
from benchmarks.report.latency_sections import cost_table, device_text, latency_sections, timing_text
from benchmarks.report.plots import size_image
from benchmarks.report.record_file import RECORD_FILE, record_text
from benchmarks.report.schema import Record, SettingOnTarget
from benchmarks.report.text import (
    EMULATED,
    change_text,
    cost_text,
    join_names,
    notes,
    percent_text,
    size_text,
    summary,
    warnings,
)
from dermpack.errors import MissingExtraError
from dermpack.reporting.contact_sheet import contact_sheet
from dermpack.reporting.page import (
    NO_VALUE,
    RESEARCH_ONLY,
    Block,
    Level,
    Media,
    Section,
    Table,
    callouts,
    escape_markdown,
    is_figure,
    render_page,
    render_template,
)
from dermpack.storage.files import check_output_folder, new_folder, write_bytes

PAGE_FILE, MARKDOWN_FILE, SHEET_FILE = "report.html", "report.md", "flipped.jpg"
TEMPLATE = Path(__file__).parent / "report.md.j2"
PROPERTY_NAMES = {"os": "OS", "soc": "SoC"}
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


def benchmark_page(record: Record, *, sheet: bytes | None = None) -> str:
    """Return the HTML page; `sheet` is a contact sheet of flipped pictures, or None to show none."""
    blocks: list[Block] = [_overview_table(record), *summary(record)]
    emulated = [EMULATED] if record.has_emulated else []
    blocks += callouts((*emulated, *notes(record)), level=Level.NOTE)
    blocks += callouts(warnings(record))
    rows = []
    for model in record.models:
        size, side = size_text(model.size_bytes), f"{model.side_pixels} px"
        rows.append((model.name, model.recipe or NO_VALUE, size, side, model.sha256))
    table = Table("Models", ("model", "recipe", "size", "input", "sha256"), rows)
    files: list[Block] = [table, size_image(record)]
    if (data := record.data) is not None:
        files.append(
            f"Pictures: the {data.split.value} split of {data.source}, manifest sha256 {data.sha256}."
        )
    devices: list[Block] = []
    for place in record.targets:
        properties = sorted(place.environment.items())
        named = [(PROPERTY_NAMES.get(name, name.replace("_", " ")), text) for name, text in properties]
        caption = f"{place.target}: {device_text(place)}"
        devices.append(Table(caption, ("property", "value"), named))
    text = f"Written by dermpack {record.dermpack}; the intervals were drawn with seed {record.seed}."
    sections = [
        Section("In short", blocks),
        *latency_sections(record),
        *accuracy_sections(record, sheet),
        Section("Files", files),
        Section("Devices", [*devices, text]),
    ]
    return render_page(_title(record), subtitle=_subtitle(record), sections=sections)


def render_markdown(record: Record) -> str:
    """Return the report for a pull request: one table, the summary, notes and conditions."""
    table = _overview_table(record)
    targets = []
    for place in record.targets:
        timed = [result for result in record.results_on(place.target) if result.times is not None]
        timing = timing_text(record, timed) if timed else ""
        targets.append((place.target, device_text(place), timing))
    values = {
        "title": _title(record),
        "subtitle": _subtitle(record),
        "table": table,
        "figure_columns": [all(map(is_figure, column)) for column in zip(*table.rows, strict=True)],
        "summary": summary(record),
        "remarks": [("Note", notes(record)), ("Warning", warnings(record))],
        "most_remarks": MOST_REMARKS,
        "targets": targets,
        "emulated": EMULATED if record.has_emulated else "",
        "research_only": RESEARCH_ONLY,
    }
    return render_template(TEMPLATE, values, escape=escape_markdown)


def terminal_tables(record: Record) -> Iterator[Table]:
    """Yield the tables for a terminal of eighty columns: accuracy per model, then cost per target."""
    data = record.data
    if data is not None and record.answers:
        caption = f"{data.n:,} pictures of {data.groups:,} groups, {data.split.value} split of {data.source}"
        header = ("model", "size", "balanced accuracy", "points against the first")
        yield Table(caption, header, _model_rows(record, ()))
    tables = [cost_table(record, place) for place in record.targets]
    yield from (table for table in tables if table.rows)


def _title(record: Record) -> str:
    return f"Benchmark of {join_names(model.name for model in record.models)}"


def _subtitle(record: Record) -> str:
    targets = ", ".join(place.target for place in record.targets)
    data = record.data
    if data is None:
        is_timed = not all(place.is_emulated for place in record.targets)
        return f"{'Timed' if is_timed else 'Counted'} on {targets}; no picture was scored"
    return f"Scored on {data.n:,} pictures of the {data.split.value} split of {data.source}; on {targets}"


def _overview_table(record: Record) -> Table:
    """Return a row per model: size, cost in the main setting of each target, and accuracy."""
    places = record.primary_places()
    units = ["M" if record.find_target(where.target).is_emulated else "ms" for where in places]
    costs = [f"{where.target}, {unit}" for where, unit in zip(places, units, strict=True)]
    scores = ["balanced accuracy", "change, points"] if record.data is not None and record.answers else []
    # Targets usually have the same main setting; it is named once.
    settings = dict.fromkeys(str(where.setting) for where in places)
    caption = f"One inference with {' or '.join(settings)}; other settings are below"
    if record.has_emulated:
        caption += "; M: million instructions, counted and not timed"
    header = ("model", "size", *costs, *scores)
    return Table(caption, header, _model_rows(record, places))


def _model_rows(record: Record, places: Sequence[SettingOnTarget]) -> list[list[str]]:
    """Return a row per model: size, cost in these places, and accuracy in the model's first place."""
    rows = []
    for model in record.models:
        row = [model.name, size_text(model.size_bytes)]
        row += [cost_text(record.find_result(model.name, where)) for where in places]
        if record.data is not None and record.answers:
            answer = next((answer for answer in record.answers if answer.model == model.name), None)
            drop = next((drop for drop in record.drops if drop.model == model.name), None)
            row.append(percent_text(answer.balanced_accuracy if answer else None))
            row.append(change_text(drop.balanced_accuracy) if drop else NO_VALUE)
        rows.append(row)
    return rows
