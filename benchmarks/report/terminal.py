"""The tables of a report in a terminal, narrow enough for eighty columns."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report.figure_text import size_text
from benchmarks.report.latency_sections import counts, medians
from benchmarks.report.page import scores_of
from benchmarks.report.record_lookup import settings_of
from benchmarks.report.schema import Record, ScoredData
from dermpack.reporting.page import Table


def tables(record: Record) -> Iterator[Table]:
    """What each model gets right, then a table a target: a row a setting, a column a model."""
    if record.data is not None and record.answers:
        yield _scores(record, record.data)
    for place in record.targets:
        if settings_of(record, place.target):
            yield counts(record, place) if place.is_emulated else medians(record, place)


def _scores(record: Record, data: ScoredData) -> Table:
    rows = [(of.name, size_text(of.size_bytes), *scores_of(record, of.name)) for of in record.models]
    caption = f"{data.n:,} pictures of {data.groups:,} groups, {data.split.value} split of {data.source}"
    header = ("model", "size", "balanced accuracy", "points against the first")
    return Table(caption=caption, header=header, rows=rows)
