"""The sections of the dataset report: warnings, classes, pictures, metadata, sizes, duplicates, findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dermpack.dataset.manifest import Dataset, Finding
from dermpack.reporting.page import Block, Facts, Gallery, Image, Section, Table
from dermpack.reporting.plots import (
    bar_plot,
    heat_map,
    heat_map_height,
    histogram,
    plot_height,
    plot_image,
    shorten,
    stacked_bar_plot,
)
from trainer.datasets.exploration.annotators import create_annotator_sections
from trainer.datasets.exploration.columns import ColumnKind, Crosstab
from trainer.datasets.exploration.dataset_warnings import find_warnings
from trainer.datasets.exploration.explore import Exploration, Histogram, PictureRelations, Resolution
from trainer.datasets.exploration.importance import Importance, Imputation
from trainer.datasets.exploration.pixels.analysis_sections import create_analysis_sections
from trainer.datasets.exploration.pixels.picture_analysis import PictureAnalysis
from trainer.datasets.findings import FAULTLESS

MAX_LISTED = 20  # findings in a table
MAX_CLASSES = 12  # with more classes, the table has no columns for them and the heat map a row of its own
MAX_NAME_CHARACTERS = 18  # of a value in the heat map, whose names include the count
BETTER = (
    "The importance of a column is the balanced accuracy that is lost when the column is shuffled; columns "
    "with the same information share it. A column that is filled in after the diagnosis (how it was "
    "confirmed, for example) predicts the label and must not be an input of a model."
)
NOT_BETTER = (
    "That is not better than guessing: on so many pictures, the metadata does not predict the label, and no "
    "column has an importance."
)


def create_sections(
    dataset: Dataset,
    exploration: Exploration,
    *,
    class_sheets: Sequence[Image],
    duplicate_sections: Sequence[Section],
    analysis: PictureAnalysis | None,
    analysis_sheets: Mapping[str, Image],
) -> tuple[Section, ...]:
    """Return the sections of the page: warnings first, then the details; empty sections are omitted.

    The number and the title of a section are part of the names of its image files.
    """
    facts = [
        ("pictures", f"{exploration.pictures:,}"),
        ("classes", f"{len(exploration.classes):,}"),
        ("groups", f"{exploration.kinship.groups:,}"),
        ("in clusters of near duplicates", f"{exploration.kinship.clustered:,}"),
        ("unusable", f"{exploration.unusable:,}"),
        ("leaking between splits", f"{exploration.kinship.leaks:,}"),
    ]
    unusable = [(kind, count) for kind, count in exploration.refused if kind not in FAULTLESS]
    also_left_out = [(kind, count) for kind, count in exploration.refused if kind in FAULTLESS]
    sections = [
        Section("Summary", [Facts(facts), *find_warnings(exploration, analysis)]),
        _create_classes_section(exploration),
        _create_samples_section(class_sheets),
        *create_annotator_sections(exploration.annotators, exploration.skin_types, exploration.classes),
        *(_create_crosstab_section(crosstab, exploration) for crosstab in exploration.crossings),
        _create_resolution_section(exploration.resolution),
        _create_relations_section(exploration.kinship),
        *duplicate_sections,
        *create_analysis_sections(analysis, analysis_sheets),
        _create_findings_section("Unusable pictures", "reason", unusable, dataset.refused),
        _create_findings_section("Also left out", "reason", also_left_out, dataset.refused),
        _create_findings_section("Notes on kept pictures", "note", exploration.notes, dataset.notes),
        _create_missing_section(exploration.imputations, exploration.pictures),
        create_importance_section(exploration.importance, exploration.imputations),
        _create_origin_section(dataset),
    ]
    return tuple(section for section in sections if section is not None)


def _create_classes_section(exploration: Exploration) -> Section:
    names, counts = exploration.classes, exploration.counts
    pictures = {split: [sizes[name] for name in names] for split, sizes in counts.items()}
    plot = stacked_bar_plot(names, pictures, unit="pictures")
    rows = []
    for name in names:
        total = exploration.of_class(name)
        cells = [f"{sizes[name]:,} ({exploration.groups[split][name]:,})" for split, sizes in counts.items()]
        rows.append([name, f"{total:,}", _format_percent(total, exploration.pictures), *cells])
    totals = [f"{sum(sizes.values()):,}" for sizes in counts.values()]
    rows.append(["all", f"{exploration.pictures:,}", "100.0%", *totals])
    header = ["class", "pictures", "share", *counts]
    largest = max(names, key=exploration.of_class, default="")
    alt = f"Pictures per class and split; the largest class is {largest}. The table has the numbers."
    image = plot_image(plot, alt=alt, height_inches=plot_height(len(names)))
    caption = "Pictures per class and split, with groups in brackets: a group counts as one case."
    table = Table(caption, header, rows)
    return Section("Classes and splits", [image, table])


def _create_samples_section(sheets: Sequence[Image]) -> Section | None:
    if not sheets:
        return None
    text = (
        "A random sample of each class, cropped to squares as for a model. Look for rulers, ink, hair, dark "
        "corners and text that occur in one class only: a model learns them instead of the lesion."
    )
    return Section("A look at each class", [text, Gallery(sheets)])


def _create_resolution_section(sizes: Resolution | None) -> Section | None:
    if sizes is None:
        return None
    if sizes.different == 1:
        shape = sizes.shapes[0]
        return Section("Resolution", [f"Every picture has {shape.width:,} × {shape.height:,} pixels."])
    spreads = [("width, px", sizes.widths), ("height, px", sizes.heights), ("width / height", sizes.aspects)]
    rows = [[name, f"{s.least:,.4g}", f"{s.median:,.4g}", f"{s.most:,.4g}"] for name, s in spreads]
    header = ["", "smallest", "median", "largest"]
    spread_table = Table("Size of the pictures, after orientation", header, rows)
    shapes = [[f"{shape.width:,} × {shape.height:,}", f"{shape.pictures:,}"] for shape in sizes.shapes]
    caption = f"The most frequent of {sizes.different:,} sizes"
    shape_table = Table(caption, ["size", "pictures"], shapes)
    images = [
        _plot_histogram(sizes.short_side, unit="shorter side, pixels"),
        _plot_histogram(sizes.aspect, unit="width / height"),
    ]
    return Section("Resolution", [Gallery(images), spread_table, shape_table])


def _plot_histogram(values: Histogram, *, unit: str) -> Image:
    plot = histogram(values.edges, values.counts, unit=unit, counted="pictures")
    return plot_image(plot, alt=f"Pictures by {unit}; the table has the spread.")


def _create_relations_section(relations: PictureRelations) -> Section:
    groups = (relations.groups_of_several, relations.groups_across_classes, relations.groups_across_splits)
    clusters = (relations.clusters, relations.clusters_across_classes, relations.clusters_across_splits)
    files = (relations.files_repeated, relations.files_across_classes, relations.files_across_splits)
    counts = {"groups": groups, "clusters": clusters, "repeated files": files}
    header = ["related pictures", "with several pictures", "in several classes", "in several splits"]
    rows = [[name, *(f"{n:,}" for n in numbers)] for name, numbers in counts.items()]
    caption = "Related pictures in several splits are leaks"
    blocks: list[Block] = [Table(caption, header, rows)]
    if relations.largest_group > 1:
        blocks.append(f"The largest group has {relations.largest_group:,} pictures.")
    if relations.largest_clusters:
        number = f"{len(relations.largest_clusters):,} of {relations.clusters:,}"
        rows = []
        for cluster in relations.largest_clusters:
            names = (cluster.labels, cluster.splits, cluster.pictures[:3])
            rows.append([cluster.name, f"{len(cluster.pictures):,}", *map(", ".join, names)])
        caption = f"Clusters of near duplicates, the suspicious and the large ones first ({number})"
        header = ["cluster", "pictures", "classes", "splits", "first pictures"]
        blocks.append(Table(caption, header, rows))
    return Section("Groups, duplicates and leaks", blocks)


def _create_findings_section(
    title: str, word: str, counts: Sequence[tuple[str, int]], findings: Sequence[Finding]
) -> Section | None:
    if not counts:
        return None
    rows = [[kind, f"{n:,}"] for kind, n in counts]
    count_table = Table(f"Pictures by {word}", [word, "pictures"], rows)
    kinds = dict(counts)
    findings = [finding for finding in findings if finding.kind in kinds]
    listed = findings[:MAX_LISTED]
    caption = f"Single pictures ({len(listed):,} of {len(findings):,}; dataset.json has all)"
    rows = [[finding.picture, finding.kind, finding.detail] for finding in listed]
    picture_table = Table(caption, ["picture", word, "detail"], rows)
    return Section(title, (count_table, picture_table))


def _create_crosstab_section(crosstab: Crosstab, exploration: Exploration) -> Section:
    """Return the pictures by value of a column."""
    column, classes = crosstab.column.rstrip("."), exploration.classes
    totals = [sum(row) for row in crosstab.counts]
    names = [
        f"{shorten(value, most=MAX_NAME_CHARACTERS)} ({total:,})"
        for value, total in zip(crosstab.values, totals, strict=True)
    ]
    shares = [[n / max(total, 1) for n in row] for row, total in zip(crosstab.counts, totals, strict=True)]
    bars = bar_plot(crosstab.values, totals, unit="pictures")
    heat = heat_map(names, classes, shares, across="class", down="", top=1.0)
    width = max(6.4, 2.5 + 0.5 * len(classes))
    by_value = plot_image(bars, caption=f"Pictures by {column}.", height_inches=plot_height(len(names)))
    height = heat_map_height(names, classes, width_inches=width)
    alt = f"The share of each class within each {column}."
    caption = f"Classes within {crosstab.column}: each row adds up to 100%."
    by_class = plot_image(heat, alt=alt, caption=caption, width_inches=width, height_inches=height)
    has_few_classes = len(classes) <= MAX_CLASSES
    blocks: list[Block] = [Gallery([by_value, by_class] if has_few_classes else [by_class])]
    if not has_few_classes:
        blocks.insert(0, by_value)
    rows = []
    for value, row, total in zip(crosstab.values, crosstab.counts, totals, strict=True):
        cells = [f"{n:,}" for n in row if has_few_classes]
        rows.append([value, f"{total:,}", _format_percent(total, exploration.pictures), *cells])
    header = [crosstab.column, "pictures", "share", *(classes if has_few_classes else ())]
    blocks.append(Table(f"Pictures by {crosstab.column} and class", header, rows))
    if crosstab.folded:
        blocks.append(f"{crosstab.folded:,} rarer values are counted as other values.")
    return Section(f"By {crosstab.column}", blocks)


def _format_percent(part: int, whole: int) -> str:
    """Format a share: _format_percent(1, 8) → "12.5%"."""
    return f"{100 * part / whole:.1f}%" if whole else "–"


def _create_missing_section(imputations: Sequence[Imputation], pictures: int) -> Section | None:
    """Return a table of the columns with their missing cells, or None without columns."""
    if not imputations:
        return None
    header = ["column", "kind", "different values", "missing", "share"]
    header += ["unreadable among them", "filling value"]
    rows = []
    for one in imputations:
        filling = "none: empty column" if one.kind is ColumnKind.EMPTY else "none: column of names"
        if one.strategy is not None:
            strategy = one.strategy.value.replace("_", " ")
            filling = f"{one.value} ({strategy} of {one.n:,})"
        share = _format_percent(one.missing, pictures)
        counts = (f"{one.different:,}", f"{one.missing:,}", share, f"{one.unreadable:,}")
        rows.append([one.column, one.kind.value, *counts, filling])
    text = (
        "Filling values are learned from the train split only. They are a suggestion: the manifest keeps its "
        "empty cells. Words such as “unknown” count as missing."
    )
    table = Table("Metadata columns and their missing cells", header, rows)
    return Section("Missing metadata", [text, table])


def create_importance_section(importance: Importance, imputations: Sequence[Imputation]) -> Section | None:
    """Return the permutation importance of the columns, or None without columns to measure."""
    if not imputations and importance.refusal:
        return None
    if importance.refusal:
        text = f"Not measured: {importance.refusal}."
    else:
        text = (
            f"A random forest was fitted to the metadata of {importance.n_fitted:,} pictures and scored on "
            f"{importance.n_held_out:,} others ({importance.held_out}): balanced accuracy "
            f"{importance.balanced_accuracy:.3f}, where guessing gives {importance.chance:.3f} ± "
            f"{importance.luck:.3f}. {BETTER if importance.is_better_than_guessing else NOT_BETTER}"
        )
    blocks: list[Block] = [text]
    if importance.columns:
        names = [one.column for one in importance.columns]
        means, deviations = zip(*((one.mean, one.deviation) for one in importance.columns), strict=True)
        unit = "loss of balanced accuracy when the column is shuffled"
        plot = bar_plot(names, means, unit=unit, form="{:.3f}", spreads=deviations)
        alt = f"Importance of {len(names)} columns; {names[0]} has the greatest. The table has the numbers."
        caption = f"Mean and standard deviation over {importance.repeats} permutations."
        image = plot_image(plot, alt=alt, caption=caption, height_inches=plot_height(len(names)))
        rows = [[one.column, f"{one.mean:.3f}", f"± {one.deviation:.3f}"] for one in importance.columns]
        header = ["column", "mean", "deviation"]
        blocks += [image, Table("Permutation importance", header, rows)]
    if importance.excluded:
        header = ["column", "reason"]
        blocks.append(Table("Excluded columns", header, importance.excluded))
    # The title is part of file names.
    return Section("How well metadata predicts the label", blocks)


def _create_origin_section(dataset: Dataset) -> Section:
    rows = [
        ["source", dataset.source],
        ["format", dataset.format],
        ["licence", dataset.licence or "not stated"],
        *([["what the pictures do not show", dataset.caution]] if dataset.caution else []),
        *([f"option {name}", value] for name, value in sorted(dataset.options.items())),
        ["sha256 of manifest.csv", dataset.sha256],
    ]
    table = Table("The dataset", ["", ""], rows)
    return Section("Origin", [table])
