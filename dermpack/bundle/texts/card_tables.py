"""The tables of a card: scores, slices, what integers cost, times."""

from __future__ import annotations

from collections.abc import Iterator

from dermpack.bundle.texts.benchmark_times import SettingTimes, VariantTimes
from dermpack.bundle.texts.evaluation_scores import VariantScores
from dermpack.contract import Accuracy, ComparedFigure, Contract
from dermpack.evaluation.report_page import LABEL_COLUMNS, OVERALL
from dermpack.reporting.markdown import cell, table


def scored_on(of: VariantScores) -> Iterator[str]:
    """All labels together, then each."""
    yield f"{of.variant}, split {cell(of.split)}, n = {of.n:,} pictures of {of.groups:,} groups; in brackets"
    yield f"the 95 % interval by bootstrap over groups ({of.resamples:,} draws)."
    yield from (f"Note: {cell(note)}." for note in of.notes)
    yield ""
    yield from table(("figure", "value"), [(OVERALL[name], shown) for name, shown in of.figures.items()])
    yield ""
    header = ("label", "pictures", *LABEL_COLUMNS.values())
    yield from table(
        header,
        [
            (cell(row.label), f"{row.n:,}", *(row.figures[name] for name in LABEL_COLUMNS))
            for row in of.labels
        ],
    )
    yield ""


def compared(contract: Contract) -> Iterator[str]:
    """What this file scores beside the network that it was made of."""
    yield from (f"## Figures of {contract.recipe.name}, beside the float network's", "")
    if not contract.accuracy:
        yield from ("None stand in the contract.", "")
    for accuracy in contract.accuracy:
        yield from _split(accuracy)


def _split(of: Accuracy) -> Iterator[str]:
    yield f"Split {cell(of.split)}, n = {of.n:,}; the float network's label on {of.agreement:.1%} of them."
    yield ""
    yield from table(
        ("figure", "this file", "float", "difference (95 %, paired)"), map(_compared, of.figures)
    )
    yield ""


def _compared(of: ComparedFigure) -> tuple[str, ...]:
    interval = f" ({of.ci95[0]:+.4f} to {of.ci95[1]:+.4f})" if of.ci95 else ""
    name = OVERALL.get(of.metric) or cell(of.metric)
    return name, f"{of.of_file:.4f}", f"{of.of_float:.4f}", f"{of.difference:+.4f}{interval}"


def timed_on(of: VariantTimes) -> Iterator[str]:
    """One picture after another, the bytes ready; the device by name, since no other is meant."""
    yield f"{of.variant} on {cell(of.device)}. No other device is meant: measure on yours."
    yield from (f"Note: {cell(note)}." for note in of.notes)
    yield ""
    header = ("runtime", "kernels", "threads", "median ms (95 %)", "p90 ms", "rounds (warm-up)")
    yield from table(header, map(_pace, of.paces), words=2)
    yield ""


def _pace(of: SettingTimes) -> tuple[str, ...]:
    around = f" ({of.ci95_ms[0]:.2f} to {of.ci95_ms[1]:.2f})" if of.ci95_ms else ""
    rounds = f"{of.rounds:,} ({of.warm_up_rounds:,})"
    return (
        *(cell(of.runtime), of.kernels, f"{of.threads}"),
        *(f"{of.median_ms:.2f}{around}", f"{of.p90_ms:.2f}", rounds),
    )


def sliced(of: VariantScores) -> Iterator[str]:
    yield f"{of.variant}, split {cell(of.split)}, n = {of.n:,}, {of.groups:,} groups (95 % intervals)."
    yield ""
    header = ("slice", "n", "groups", "balanced accuracy", "accuracy")
    rows = (
        (
            f"{cell(row.name)}{' (few: mostly chance)' if row.is_few else ''}",
            *(f"{row.n:,}", f"{row.groups:,}", row.balanced, row.accuracy),
        )
        for row in of.rows
    )
    yield from table(header, rows)
    yield ""
