"""The report sections about metadata columns: their values, missing cells, and importance."""

from __future__ import annotations

from collections.abc import Sequence

from dermpack.reporting.page import Block, Gallery, Image, Section, Table, Text
from dermpack.reporting.plots import bar_plot, figure_png, heat_map, heat_map_height, plot_height, shorten
from trainer.datasets.exploration.columns import ColumnKind, Crosstab
from trainer.datasets.exploration.explore import Exploration
from trainer.datasets.exploration.importance import Importance, Imputation, ImputationStrategy

MAX_CLASSES = 12  # with more classes, the table has no columns for them and the heat map a row of its own
MAX_NAME_CHARACTERS = 18  # of a value in the heat map, whose names include the count
STRATEGY_TEXTS = {ImputationStrategy.MEDIAN: "median", ImputationStrategy.MOST_FREQUENT: "most frequent"}


def create_crosstab_section(crosstab: Crosstab, exploration: Exploration) -> Section:
    """Return the pictures by value of a column: a bar plot, a heat map of the classes, and a table."""
    column = crosstab.column.rstrip(".")
    totals = [sum(row) for row in crosstab.counts]
    names = [
        f"{shorten(value, most=MAX_NAME_CHARACTERS)} ({total:,})"
        for value, total in zip(crosstab.values, totals, strict=True)
    ]
    shares = [
        [n / total if total else 0.0 for n in row] for row, total in zip(crosstab.counts, totals, strict=True)
    ]
    bars = figure_png(
        bar_plot(crosstab.values, totals, unit="pictures"), height_inches=plot_height(len(names))
    )
    width = max(6.4, 2.5 + 0.5 * len(exploration.classes))
    heat = figure_png(
        heat_map(names, exploration.classes, shares, across="class", down="", top=1.0),
        width_inches=width,
        height_inches=heat_map_height(names, exploration.classes, width_inches=width),
    )
    caption = f"Pictures by {column}."
    by_value = Image(data=bars, alt=caption, caption=caption)
    by_class = Image(
        data=heat,
        alt=f"The share of each class within each {column}.",
        caption=f"Classes within {crosstab.column}: each row adds up to 100%.",
    )
    has_few_classes = len(exploration.classes) <= MAX_CLASSES
    blocks: list[Block]
    blocks = (
        [Gallery(images=[by_value, by_class])] if has_few_classes else [by_value, Gallery(images=[by_class])]
    )
    rows = [
        [value, f"{total:,}", format_percent(total, exploration.pictures)]
        + [f"{n:,}" for n in row if has_few_classes]
        for value, row, total in zip(crosstab.values, crosstab.counts, totals, strict=True)
    ]
    header = [crosstab.column, "pictures", "share", *(exploration.classes if has_few_classes else ())]
    blocks.append(Table(caption=f"Pictures by {crosstab.column} and class", header=header, rows=rows))
    if crosstab.folded:
        blocks.append(Text(text=f"{crosstab.folded:,} rarer values are counted as other values."))
    return Section(title=f"By {crosstab.column}", blocks=blocks)


def format_percent(part: int, whole: int) -> str:
    """Format a share: format_percent(1, 8) → "12.5%"."""
    return f"{100 * part / whole:.1f}%" if whole else "–"


def create_missing_section(imputations: Sequence[Imputation], pictures: int) -> Section | None:
    """Return a table of the columns with their missing cells, or None without columns."""
    if not imputations:
        return None
    header = [
        *("column", "kind", "different values", "missing", "share"),
        *("unreadable among them", "filling value"),
    ]
    rows = []
    for one in imputations:
        filling = "none: empty column" if one.kind is ColumnKind.EMPTY else "none: column of names"
        if one.strategy is not None:
            filling = f"{one.value} ({STRATEGY_TEXTS[one.strategy]} of {one.n:,})"
        share = format_percent(one.missing, pictures)
        counts = (f"{one.different:,}", f"{one.missing:,}", share, f"{one.unreadable:,}")
        rows.append([one.column, one.kind.value, *counts, filling])
    text = (
        "Filling values are learned from the train split only. They are a suggestion: the manifest keeps its "
        "empty cells. Words such as “unknown” count as missing."
    )
    table = Table(caption="Metadata columns and their missing cells", header=header, rows=rows)
    return Section(title="Missing metadata", blocks=[Text(text=text), table])


def create_importance_section(importance: Importance, imputations: Sequence[Imputation]) -> Section | None:
    """Return the permutation importance of the columns, or None without columns to measure."""
    if not imputations and importance.refusal:
        return None
    excluded = Table(caption="Excluded columns", header=["column", "reason"], rows=importance.excluded)
    blocks: list[Block] = []
    if importance.refusal:
        blocks.append(Text(text=f"Not measured: {importance.refusal}."))
    else:
        score = (
            f"A random forest was fitted to the metadata of {importance.n_fitted:,} pictures and scored on "
            f"{importance.n_held_out:,} others ({importance.held_out}): balanced accuracy "
            f"{importance.balanced_accuracy:.3f}, where guessing gives {importance.chance:.3f} ± "
            f"{importance.luck:.3f}."
        )
        explanation = (
            "That is not better than guessing: on so many pictures, the metadata does not predict the label, "
            "and no column has an importance."
        )
        if importance.is_better_than_guessing:
            explanation = (
                "The importance of a column is the balanced accuracy that is lost when the column is "
                "shuffled; columns with the same information share it. A column that is filled in after the "
                "diagnosis (how it was confirmed, for example) predicts the label and must not be an input "
                "of a model."
            )
        blocks.append(Text(text=f"{score} {explanation}"))
        if importance.is_better_than_guessing:
            blocks += _plot_importance(importance)
    # The title is part of file names.
    title = "How well metadata predicts the label"
    return Section(title=title, blocks=[*blocks, *([excluded] if importance.excluded else [])])


def _plot_importance(importance: Importance) -> tuple[Image, Table]:
    names = [one.column for one in importance.columns]
    plot = bar_plot(
        names,
        [one.mean for one in importance.columns],
        unit="loss of balanced accuracy when the column is shuffled",
        form="{:.3f}",
        spreads=[one.deviation for one in importance.columns],
    )
    image = Image(
        data=figure_png(plot, height_inches=plot_height(len(names))),
        alt=f"Importance of {len(names)} columns; {names[0]} has the greatest. The table has the numbers.",
        caption=f"Mean and standard deviation over {importance.repeats} permutations.",
    )
    rows = [[one.column, f"{one.mean:.3f}", f"± {one.deviation:.3f}"] for one in importance.columns]
    return image, Table(caption="Permutation importance", header=["column", "mean", "deviation"], rows=rows)
