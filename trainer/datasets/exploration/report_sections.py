"""The sections of the dataset report: warnings, classes, pictures, sizes, duplicates, findings, origin."""

from __future__ import annotations

from collections.abc import Sequence

from dermpack.dataset.manifest import Dataset, Finding
from dermpack.reporting.page import (
    Block,
    Callout,
    Facts,
    Gallery,
    Image,
    ImageBackground,
    Media,
    Section,
    Table,
    Text,
)
from dermpack.reporting.plots import figure_png, histogram, plot_height, stacked_bar_plot
from trainer.datasets.checks.dataset_warnings import find_warnings
from trainer.datasets.exploration.explore import Exploration, Histogram, PictureRelations, Resolution
from trainer.datasets.exploration.metadata_sections import (
    create_crosstab_section,
    create_importance_section,
    create_missing_section,
    format_percent,
)
from trainer.datasets.exploration.sample_sheets import SampleSheet

MAX_LISTED = 20  # findings in a table


def create_sections(
    dataset: Dataset,
    exploration: Exploration,
    *,
    class_sheets: Sequence[SampleSheet],
    duplicate_sheet: SampleSheet | None,
) -> tuple[Section, ...]:
    """Return the sections of the page: warnings first, then the details; empty sections are omitted.

    The number and the title of a section are part of the names of its image files.
    """
    sections = [
        _create_summary(exploration),
        _create_classes_section(exploration),
        _create_samples_section(class_sheets),
        *(create_crosstab_section(crosstab, exploration) for crosstab in exploration.crossings),
        _create_resolution_section(exploration.resolution),
        _create_relations_section(exploration.kinship, duplicate_sheet),
        _create_findings_section("Pictures left out", "reason", exploration.refused, dataset.refused),
        _create_findings_section("Notes on kept pictures", "note", exploration.notes, dataset.notes),
        create_missing_section(exploration.imputations, exploration.pictures),
        create_importance_section(exploration.importance, exploration.imputations),
        _create_origin_section(dataset),
    ]
    return tuple(section for section in sections if section is not None)


def _create_summary(exploration: Exploration) -> Section:
    facts = [
        ("pictures", f"{exploration.pictures:,}"),
        ("classes", f"{len(exploration.classes):,}"),
        ("groups", f"{exploration.kinship.groups:,}"),
        ("in clusters of near duplicates", f"{exploration.kinship.clustered:,}"),
        ("left out", f"{exploration.left_out:,}"),
        ("leaking between splits", f"{exploration.kinship.leaks:,}"),
    ]
    callouts = [Callout(level=warning.level, text=warning.text) for warning in find_warnings(exploration)]
    return Section(title="Summary", blocks=[Facts(facts=facts), *callouts])


def _create_classes_section(exploration: Exploration) -> Section:
    names, counts = exploration.classes, exploration.counts
    plot = figure_png(
        stacked_bar_plot(
            names,
            {split: [sizes[name] for name in names] for split, sizes in counts.items()},
            unit="pictures",
        ),
        height_inches=plot_height(len(names)),
    )
    rows = []
    for name in names:
        total = exploration.of_class(name)
        cells = [f"{sizes[name]:,} ({exploration.groups[split][name]:,})" for split, sizes in counts.items()]
        rows.append([name, f"{total:,}", format_percent(total, exploration.pictures), *cells])
    totals = [f"{sum(sizes.values()):,}" for sizes in counts.values()]
    rows.append(["all", f"{exploration.pictures:,}", "100.0%", *totals])
    header = ["class", "pictures", "share", *counts]
    largest = max(names, key=exploration.of_class, default="")
    alt = f"Pictures per class and split; the largest class is {largest}. The table has the numbers."
    caption = "Pictures per class and split, with groups in brackets: a group counts as one case."
    blocks: list[Block] = [Image(data=plot, alt=alt), Table(caption=caption, header=header, rows=rows)]
    return Section(title="Classes and splits", blocks=blocks)


def _create_samples_section(sheets: Sequence[SampleSheet]) -> Section | None:
    if not sheets:
        return None
    images = [
        _show_sheet(sheet, f"{sheet.title}: {sheet.shown:,} of {sheet.total:,} pictures") for sheet in sheets
    ]
    text = (
        "A random sample of each class, cropped to squares as for a model. Look for rulers, ink, hair, dark "
        "corners and text that occur in one class only: a model learns them instead of the lesion."
    )
    return Section(title="A look at each class", blocks=[Text(text=text), Gallery(images=images)])


def _show_sheet(sheet: SampleSheet, caption: str) -> Image:
    return Image(
        data=sheet.sheet,
        alt=f"Contact sheet, {caption}",
        caption=caption,
        media=Media.JPEG,
        surface=ImageBackground.PHOTOGRAPH,
    )


def _create_resolution_section(sizes: Resolution | None) -> Section | None:
    if sizes is None:
        return None
    if sizes.different == 1:
        shape = sizes.shapes[0]
        text = f"Every picture has {shape.width:,} × {shape.height:,} pixels."
        return Section(title="Resolution", blocks=[Text(text=text)])
    spreads = [("width, px", sizes.widths), ("height, px", sizes.heights), ("width / height", sizes.aspects)]
    spread_table = Table(
        caption="Size of the pictures, after orientation",
        header=["", "smallest", "median", "largest"],
        rows=[[name, f"{s.least:,.4g}", f"{s.median:,.4g}", f"{s.most:,.4g}"] for name, s in spreads],
    )
    shape_table = Table(
        caption=f"The most frequent of {sizes.different:,} sizes",
        header=["size", "pictures"],
        rows=[[f"{s.width:,} × {s.height:,}", f"{s.pictures:,}"] for s in sizes.shapes],
    )
    images = [
        _plot_histogram(sizes.short_side, unit="shorter side, pixels"),
        _plot_histogram(sizes.aspect, unit="width / height"),
    ]
    return Section(title="Resolution", blocks=[Gallery(images=images), spread_table, shape_table])


def _plot_histogram(values: Histogram, *, unit: str) -> Image:
    plot = figure_png(histogram(values.edges, values.counts, unit=unit, counted="pictures"))
    return Image(data=plot, alt=f"Pictures by {unit}; the table has the spread.")


def _create_relations_section(relations: PictureRelations, sheet: SampleSheet | None) -> Section:
    counts = {
        "groups": (
            relations.groups_of_several,
            relations.groups_across_classes,
            relations.groups_across_splits,
        ),
        "clusters": (
            relations.clusters,
            relations.clusters_across_classes,
            relations.clusters_across_splits,
        ),
        "repeated files": (
            relations.files_repeated,
            relations.files_across_classes,
            relations.files_across_splits,
        ),
    }
    header = ["related pictures", "with several pictures", "in several classes", "in several splits"]
    rows = [[name, *(f"{n:,}" for n in numbers)] for name, numbers in counts.items()]
    caption = "Related pictures in several splits are leaks"
    blocks: list[Block] = [Table(caption=caption, header=header, rows=rows)]
    if relations.largest_group > 1:
        blocks.append(Text(text=f"The largest group has {relations.largest_group:,} pictures."))
    if sheet is not None:
        caption = f"Near duplicates side by side: {sheet.shown:,} of {sheet.total:,} pictures"
        blocks.append(_show_sheet(sheet, caption))
    if relations.largest_clusters:
        number = f"{len(relations.largest_clusters):,} of {relations.clusters:,}"
        cluster_rows = [
            [
                *(cluster.name, f"{len(cluster.pictures):,}", ", ".join(cluster.labels)),
                *(", ".join(cluster.splits), ", ".join(cluster.pictures[:3])),
            ]
            for cluster in relations.largest_clusters
        ]
        caption = f"Clusters of near duplicates, the suspicious and the large ones first ({number})"
        header = ["cluster", "pictures", "classes", "splits", "first pictures"]
        blocks.append(Table(caption=caption, header=header, rows=cluster_rows))
    return Section(title="Groups, duplicates and leaks", blocks=blocks)


def _create_findings_section(
    title: str, word: str, counts: Sequence[tuple[str, int]], findings: Sequence[Finding]
) -> Section | None:
    if not counts:
        return None
    count_table = Table(
        caption=f"Pictures by {word}",
        header=[word, "pictures"],
        rows=[[kind, f"{n:,}"] for kind, n in counts],
    )
    listed = findings[:MAX_LISTED]
    picture_table = Table(
        caption=f"Single pictures ({len(listed):,} of {len(findings):,}; dataset.json has all)",
        header=["picture", word, "detail"],
        rows=[[finding.picture, finding.kind, finding.detail] for finding in listed],
    )
    return Section(title=title, blocks=(count_table, picture_table))


def _create_origin_section(dataset: Dataset) -> Section:
    rows = [
        ["source", dataset.source],
        ["format", dataset.format],
        ["licence", dataset.licence or "not stated"],
        *([["what the pictures do not show", dataset.caution]] if dataset.caution else []),
        *([f"option {name}", value] for name, value in sorted(dataset.options.items())),
        ["sha256 of manifest.csv", dataset.sha256],
    ]
    table = Table(caption="The dataset", header=["", ""], rows=rows)
    return Section(title="Origin", blocks=[table])
