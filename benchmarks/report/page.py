"""The HTML page of a benchmark, and its tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report.accuracy_sections import accuracy_sections
from benchmarks.report.latency_sections import count_table, device_text, latency_sections, median_table
from benchmarks.report.plots import size_image
from benchmarks.report.schema import (
    Record,
    find_result,
    find_target,
    measured_settings,
    median_ms,
    primary_places,
)
from benchmarks.report.text import (
    EMULATED,
    change_text,
    millions_text,
    ms_text,
    notes,
    percent_text,
    size_text,
    summary,
    warnings,
)
from dermpack.reporting.page import NO_VALUE, Block, Callout, Level, Section, Table, Text, render_page

PROPERTY_NAMES = {"os": "OS", "soc": "SoC"}


def benchmark_page(record: Record, *, sheet: bytes | None = None) -> str:
    """Return the HTML page; `sheet` is a contact sheet of flipped pictures, or None to show none."""
    sentences = [Text(text=sentence) for sentence in summary(record)]
    emulated = [EMULATED] if any(place.is_emulated for place in record.targets) else []
    callouts = [Callout(level=Level.NOTE, text=text) for text in (*emulated, *notes(record))]
    callouts += [Callout(level=Level.WARNING, text=text) for text in warnings(record)]
    sections = [
        Section(title="In short", blocks=[overview_table(record), *sentences, *callouts]),
        *latency_sections(record),
        *accuracy_sections(record, sheet),
        Section(title="Files", blocks=_files(record)),
        Section(title="Devices", blocks=list(_environment(record))),
    ]
    return render_page(page_title(record), subtitle=page_subtitle(record), sections=sections)


def terminal_tables(record: Record) -> Iterator[Table]:
    """Yield the tables for a terminal of eighty columns: accuracy per model, then cost per target."""
    data = record.data
    if data is not None and record.answers:
        rows = [
            (model.name, size_text(model.size_bytes), *score_cells(record, model.name))
            for model in record.models
        ]
        caption = f"{data.n:,} pictures of {data.groups:,} groups, {data.split.value} split of {data.source}"
        header = ("model", "size", "balanced accuracy", "points against the first")
        yield Table(caption=caption, header=header, rows=rows)
    for place in record.targets:
        if measured_settings(record, place.target):
            yield count_table(record, place) if place.is_emulated else median_table(record, place)


def page_title(record: Record) -> str:
    """Return "Benchmark of float32 and int8"."""
    *names, last = (model.name for model in record.models)
    return f"Benchmark of {', '.join(names)} and {last}" if names else f"Benchmark of {last}"


def page_subtitle(record: Record) -> str:
    targets = ", ".join(place.target for place in record.targets)
    data = record.data
    if data is None:
        is_timed = not all(place.is_emulated for place in record.targets)
        return f"{'Timed' if is_timed else 'Counted'} on {targets}; no picture was scored"
    return f"Scored on {data.n:,} pictures of the {data.split.value} split of {data.source}; on {targets}"


def overview_table(record: Record) -> Table:
    """Return a row per model: size, cost in the main setting of each target, and accuracy."""
    places = primary_places(record)
    is_scored = record.data is not None and bool(record.answers)
    header = ["model", "size"]
    for where in places:
        unit = "M" if find_target(record, where.target).is_emulated else "ms"
        header.append(f"{where.target}, {unit}")
    header += ["balanced accuracy", "change, points"] if is_scored else []
    rows = []
    for model in record.models:
        costs = []
        for where in places:
            result = find_result(record, model.name, where)
            if result is not None and result.instructions_per_inference is not None:
                costs.append(millions_text(result.instructions_per_inference))
            elif result is not None and result.refused is not None:
                costs.append("refused")
            else:
                costs.append(ms_text(median_ms(result)))
        scores = score_cells(record, model.name) if is_scored else []
        rows.append((model.name, size_text(model.size_bytes), *costs, *scores))
    # Targets usually have the same main setting; it is named once.
    settings = dict.fromkeys(str(where.setting) for where in places)
    caption = f"One inference with {' or '.join(settings)}; other settings are below"
    if any(place.is_emulated for place in record.targets):
        caption += "; M: million instructions, counted and not timed"
    return Table(caption=caption, header=header, rows=rows)


def score_cells(record: Record, model: str) -> list[str]:
    """Return the balanced accuracy of a model and its change, both in the model's first place."""
    answer = next((answer for answer in record.answers if answer.model == model), None)
    drop = next((drop for drop in record.drops if drop.model == model), None)
    change = NO_VALUE if drop is None else change_text(drop.balanced_accuracy)
    return [percent_text(answer.balanced_accuracy if answer else None), change]


def _files(record: Record) -> list[Block]:
    rows = [
        (
            model.name,
            model.recipe or NO_VALUE,
            size_text(model.size_bytes),
            f"{model.side_pixels} px",
            model.sha256,
        )
        for model in record.models
    ]
    table = Table(caption="Models", header=("model", "recipe", "size", "input", "sha256"), rows=rows)
    data = record.data
    if data is None:
        return [table, size_image(record)]
    text = f"Pictures: the {data.split.value} split of {data.source}, manifest sha256 {data.sha256}."
    return [table, size_image(record), Text(text=text)]


def _environment(record: Record) -> Iterator[Block]:
    for place in record.targets:
        rows = [
            (PROPERTY_NAMES.get(name, name.replace("_", " ")), text)
            for name, text in sorted(place.environment.items())
        ]
        caption = f"{place.target}: {device_text(place)}"
        yield Table(caption=caption, header=("property", "value"), rows=rows)
    yield Text(
        text=f"Written by dermpack {record.dermpack}; the intervals were drawn with seed {record.seed}."
    )
