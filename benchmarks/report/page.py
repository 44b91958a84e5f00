"""The page of a benchmark: what to know first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report.accuracy_sections import accuracy_sections
from benchmarks.report.figure_text import NOTHING, change_text, millions, ms, percent, size_text
from benchmarks.report.latency_sections import device_text, latency_sections
from benchmarks.report.plot_images import size_image
from benchmarks.report.record_lookup import median_ms, place_of, primary, result_at
from benchmarks.report.schema import Record, Result, SettingOnTarget
from benchmarks.report.sentences import EMULATED, notes, summary, warnings
from dermpack.reporting.page import Block, Callout, Level, Section, Table, Text, render_page

LABEL_OF = {"os": "OS", "soc": "SoC"}


def page(record: Record, *, sheet: bytes | None = None) -> str:
    """One HTML page; `sheet` is a contact sheet of flipped pictures, or None to show none."""
    sections = [
        Section(title="In short", blocks=_short(record)),
        *latency_sections(record),
        *accuracy_sections(record, sheet),
        Section(title="Files", blocks=_files(record)),
        Section(title="Where it ran", blocks=list(_environment(record))),
    ]
    return render_page(title(record), subtitle=subtitle(record), sections=sections)


def title(record: Record) -> str:
    """ "Benchmark of float32 and int8"."""
    names = [of.name for of in record.models]
    return (
        f"Benchmark of {', '.join(names[:-1])} and {names[-1]}"
        if len(names) > 1
        else f"Benchmark of {names[0]}"
    )


def subtitle(record: Record) -> str:
    targets = ", ".join(of.target for of in record.targets)
    if record.data is None:
        is_timed = not all(of.is_emulated for of in record.targets)
        return f"{'Timed' if is_timed else 'Counted'} on {targets}; no picture was scored"
    data = record.data
    return f"Scored on {data.n:,} pictures of the {data.split.value} split of {data.source}; on {targets}"


def overview(record: Record) -> Table:
    """A row a model: its size, and in the place that speaks for each target what it costs and gets right."""
    places = [where for of in record.targets if (where := primary(record, of.target)) is not None]
    with_data = record.data is not None and bool(record.answers)
    header = ["model", "size", *(_unit(record, where) for where in places)]
    header += ["balanced accuracy", "change, points"] if with_data else []
    rows = []
    for model in record.models:
        costs = [_cost(result_at(record, model.name, where)) for where in places]
        scores = scores_of(record, model.name) if with_data else []
        rows.append((model.name, size_text(model.size_bytes), *costs, *scores))
    settings = dict.fromkeys(str(where.setting) for where in places)
    caption = f"One inference with {' or '.join(settings)}; other settings stand below{_millions(record)}"
    return Table(caption=caption, header=header, rows=rows)


def _millions(record: Record) -> str:
    return (
        "; M: million instructions, counted and not timed"
        if any(of.is_emulated for of in record.targets)
        else ""
    )


def _unit(record: Record, where: SettingOnTarget) -> str:
    is_emulated = place_of(record, where.target).is_emulated
    return f"{where.target}, {'M' if is_emulated else 'ms'}"


def _cost(result: Result | None) -> str:
    if result is not None and result.instructions_per_inference is not None:
        return millions(result.instructions_per_inference)
    return "refused" if result and result.refused is not None else ms(median_ms(result))


def scores_of(record: Record, model: str) -> list[str]:
    answer = next((of for of in record.answers if of.model == model), None)
    drop = next((of for of in record.drops if of.model == model), None)
    change = NOTHING if drop is None else change_text(drop.balanced_accuracy)
    return [percent(answer.balanced_accuracy if answer else None), change]


def _short(record: Record) -> list[Block]:
    said = [Text(text=sentence) for sentence in summary(record)]
    emulated = [EMULATED] if any(of.is_emulated for of in record.targets) else []
    noted = [Callout(level=Level.NOTE, text=text) for text in (*emulated, *notes(record))]
    warned = [Callout(level=Level.WARNING, text=text) for text in warnings(record)]
    return [overview(record), *said, *noted, *warned]


def _files(record: Record) -> list[Block]:
    rows = [
        (of.name, of.recipe or NOTHING, size_text(of.size_bytes), f"{of.side_pixels} px", of.sha256)
        for of in record.models
    ]
    table = Table(caption="Models", header=("model", "recipe", "size", "input", "sha256"), rows=rows)
    if record.data is None:
        return [table, size_image(record)]
    data = record.data
    text = f"Pictures: the {data.split.value} split of {data.source}, manifest sha256 {data.sha256}."
    return [table, size_image(record), Text(text=text)]


def _environment(record: Record) -> Iterator[Block]:
    for place in record.targets:
        yield Table(
            caption=f"{place.target}: {device_text(place)}",
            header=("what", "is"),
            rows=[
                (LABEL_OF.get(name, name.replace("_", " ")), text)
                for name, text in sorted(place.environment.items())
            ],
        )
    yield Text(text=f"Written by dermpack {record.dermpack}; intervals drawn with seed {record.seed}.")
