"""The metadata columns: what is in them, what is missing, what they tell of the label."""

from __future__ import annotations

from collections.abc import Sequence

from dermpack.reporting.page import Block, Gallery, Image, Section, Table, Text
from dermpack.reporting.plots import bars, figure_png, heat_height_for, heat_map, height_for, short
from trainer.datasets.exploration.columns import ColumnKind
from trainer.datasets.exploration.crosstab import Crosstab
from trainer.datasets.exploration.explore import Exploration
from trainer.datasets.exploration.importance import Importance
from trainer.datasets.exploration.imputation import Imputation, ImputationStrategy
from trainer.datasets.exploration.report.percent import percent

MAX_CLASSES_ACROSS = 12  # a table with more columns is for report.json
ROOM = 18  # characters of a value beside its count
FILLED = {ImputationStrategy.MEDIAN: "median", ImputationStrategy.MOST_FREQUENT: "most frequent"}


def crossing_section(crossing: Crosstab, exploration: Exploration) -> Section:
    totals = [sum(row) for row in crossing.counts]
    names = [
        f"{short(value, most=ROOM)} ({total:,})" for value, total in zip(crossing.values, totals, strict=True)
    ]
    shares = [
        [n / total if total else 0.0 for n in row] for row, total in zip(crossing.counts, totals, strict=True)
    ]
    width = max(6.4, 2.5 + 0.5 * len(exploration.classes))
    height = height_for(len(names))
    plain = figure_png(bars(crossing.values, totals, unit="pictures"), height_inches=height)
    within = figure_png(
        heat_map(names, exploration.classes, shares, across="class", down="", top=1.0),
        width_inches=width,
        height_inches=heat_height_for(names, exploration.classes, width_inches=width),
    )
    counted = f"Pictures by {crossing.column.rstrip('.')}."
    by_value = Image(data=plain, alt=counted, caption=counted)
    by_class = Image(
        data=within,
        alt=f"The share of each class within each {crossing.column.rstrip('.')}.",
        caption=f"Classes within {crossing.column}: each row adds up to 100%.",
    )
    side_by_side = len(exploration.classes) <= MAX_CLASSES_ACROSS
    first = Gallery(images=[by_value, by_class]) if side_by_side else by_value
    blocks: list[Block] = [first, *([] if side_by_side else [Gallery(images=[by_class])])]
    blocks.append(_crossing_table(crossing, exploration))
    if crossing.folded:
        blocks.append(Text(text=f"{crossing.folded:,} rarer values share the row of the other values."))
    return Section(title=f"By {crossing.column}", blocks=blocks)


def _crossing_table(crossing: Crosstab, exploration: Exploration) -> Table:
    few = len(exploration.classes) <= MAX_CLASSES_ACROSS
    rows = [
        [value, f"{sum(row):,}", percent(sum(row), exploration.pictures)] + [f"{n:,}" for n in row if few]
        for value, row in zip(crossing.values, crossing.counts, strict=True)
    ]
    header = [crossing.column, "pictures", "share", *(exploration.classes if few else ())]
    return Table(caption=f"Pictures by {crossing.column} and class", header=header, rows=rows)


def missing_section(imputations: Sequence[Imputation], pictures: int) -> Section | None:
    if not imputations:
        return None
    rows = [
        [
            *(one.column, one.kind.value, f"{one.different:,}", f"{one.missing:,}"),
            *(percent(one.missing, pictures), f"{one.unreadable:,}", _filling(one)),
        ]
        for one in imputations
    ]
    header = [
        "column",
        "holds",
        "different values",
        "missing",
        "share",
        "of it unreadable",
        "would be filled with",
    ]
    text = (
        "Filling values are learned from the train split alone. Nothing was filled: the manifest keeps its "
        "empty cells, and words such as “unknown” count as missing."
    )
    table = Table(caption="Metadata columns and their gaps", header=header, rows=rows)
    return Section(title="Missing metadata", blocks=[Text(text=text), table])


def _filling(one: Imputation) -> str:
    if one.strategy is None:
        return "nothing: empty" if one.kind is ColumnKind.EMPTY else "nothing: it names things"
    return f"{one.value} ({FILLED[one.strategy]} of {one.n:,})"


def importance_section(measured: Importance, imputations: Sequence[Imputation]) -> Section | None:
    if not imputations and measured.refusal:
        return None
    title = "What metadata tells of the label"
    aside = Table(caption="Columns left aside", header=["column", "why: it"], rows=measured.excluded)
    excluded = [aside] if measured.excluded else []
    if measured.refusal:
        return Section(title=title, blocks=[Text(text=f"Not measured: {measured.refusal}."), *excluded])
    if not measured.is_better_than_guessing:
        return Section(title=title, blocks=[Text(text=_nothing(measured)), *excluded])
    return Section(title=title, blocks=[Text(text=_how(measured)), *_importances(measured), *excluded])


def _importances(measured: Importance) -> tuple[Image, Table]:
    names = [one.column for one in measured.columns]
    plot = bars(
        names,
        [one.mean for one in measured.columns],
        unit="loss of balanced accuracy when the column is shuffled",
        form="{:.3f}",
        spreads=[one.deviation for one in measured.columns],
    )
    image = Image(
        data=figure_png(plot, height_inches=height_for(len(names))),
        alt=f"Importance of {len(names)} columns; the greatest is {names[0]}. The table has the numbers.",
        caption=f"Mean and standard deviation over {measured.repeats} permutations.",
    )
    rows = [[one.column, f"{one.mean:.3f}", f"± {one.deviation:.3f}"] for one in measured.columns]
    table = Table(caption="Permutation importance", header=["column", "mean", "deviation"], rows=rows)
    return image, table


def _score(measured: Importance) -> str:
    return (
        f"A random forest was fitted to the metadata of {measured.n_fitted:,} pictures and scored on "
        f"{measured.n_held_out:,} others ({measured.held_out}): balanced accuracy "
        f"{measured.balanced_accuracy:.3f}, where guessing gives {measured.chance:.3f} ± {measured.luck:.3f}"
    )


def _nothing(measured: Importance) -> str:
    return (
        f"{_score(measured)}. That is no better than guessing: on so many pictures the metadata was not seen "
        "to tell anything of the label, and no column has an importance."
    )


def _how(measured: Importance) -> str:
    return (
        f"{_score(measured)}. Importance is how "
        "much of it is lost when one column is shuffled; columns that say the same share it. A column "
        "that is filled in after the diagnosis (how it was confirmed, for example) tells of the label "
        "and must not be fed to a model."
    )
