"""The report for a pull request: one table, a handful of sentences, what they rest on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from benchmarks.report.latency_sections import device_text, how_timed
from benchmarks.report.page import overview, subtitle, title
from benchmarks.report.record_lookup import results_of
from benchmarks.report.schema import Record, Result, TargetFacts
from benchmarks.report.sentences import EMULATED, notes, summary, warnings
from dermpack.errors import printable
from dermpack.reporting.page import RESEARCH_ONLY, is_figure

# What Markdown or the HTML inside it would take for its own; a name stays a name.
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~@!&$])")
MOST_REMARKS = 10


def markdown(record: Record) -> str:
    blocks = [f"## {_escaped(title(record))}", _escaped(subtitle(record)), _overview(record)]
    blocks += ["\n".join(f"- {_escaped(sentence)}" for sentence in summary(record))]
    blocks += _remarks("Note", notes(record))
    blocks += _remarks("Warning", warnings(record))
    blocks += [f"<sub>{_escaped(text)}</sub>" for text in _footnotes(record)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _remarks(kind: str, texts: Sequence[str]) -> list[str]:
    more = [f"and {len(texts) - MOST_REMARKS} more in report.html"] if len(texts) > MOST_REMARKS else []
    return [f"> **{kind}:** {_escaped(text)}" for text in [*texts[:MOST_REMARKS], *more]]


def _overview(record: Record) -> str:
    table = overview(record)
    rows = [_row(row) for row in table.rows]
    right = [all(is_figure(row[at]) for row in table.rows) for at in range(len(table.header))]
    rule = "|" + "|".join("---:" if figures else "---" for figures in right) + "|"
    return "\n".join([_row(table.header), rule, *rows, "", f"<sub>{_escaped(table.caption)}</sub>"])


def _footnotes(record: Record) -> Iterator[str]:
    for place in record.targets:
        yield f"{place.target}: {device_text(place)}.{_timed(record, place)}"
    if any(place.is_emulated for place in record.targets):
        yield EMULATED
    yield RESEARCH_ONLY


def _timed(record: Record, place: TargetFacts) -> str:
    timed: Sequence[Result] = [of for of in results_of(record, place.target) if of.times is not None]
    return f" {how_timed(record, timed)}" if timed else ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    return SPECIAL.sub(r"\\\1", printable(text))
