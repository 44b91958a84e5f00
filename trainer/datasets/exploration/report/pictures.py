"""The pictures themselves: contact sheets, sizes, relatives."""

from __future__ import annotations

from collections.abc import Sequence

from dermpack.reporting.page import Block, Gallery, Image, ImageBackground, Media, Section, Table, Text
from dermpack.reporting.plots import figure_png, histogram
from trainer.datasets.exploration.relations import PictureRelations
from trainer.datasets.exploration.resolution import Histogram, Resolution
from trainer.datasets.exploration.sample_sheets import SampleSheet


def lineups_section(lineups: Sequence[SampleSheet]) -> Section | None:
    if not lineups:
        return None
    images = [
        _sheet(lineup, f"{lineup.title}: {lineup.shown:,} of {lineup.of:,} pictures") for lineup in lineups
    ]
    text = (
        "A random choice of each class, squared as a model will see it. Look for rulers, ink, hair, dark "
        "corners and text that come with one class only: a model learns them gladly."
    )
    return Section(title="A look at each class", blocks=[Text(text=text), Gallery(images=images)])


def resolution_section(sizes: Resolution | None) -> Section | None:
    if sizes is None:
        return None
    if sizes.different == 1:
        only = sizes.shapes[0]
        text = f"Every picture has {only.width:,} × {only.height:,} pixels."
        return Section(title="Resolution", blocks=[Text(text=text)])
    spreads = [("width, px", sizes.widths), ("height, px", sizes.heights), ("width / height", sizes.aspects)]
    table = Table(
        caption="Size of the pictures, after orientation",
        header=["", "smallest", "median", "largest"],
        rows=[[name, f"{s.least:,.4g}", f"{s.median:,.4g}", f"{s.most:,.4g}"] for name, s in spreads],
    )
    frequent = Table(
        caption=f"The most frequent of {sizes.different:,} sizes",
        header=["size", "pictures"],
        rows=[[f"{s.width:,} × {s.height:,}", f"{s.pictures:,}"] for s in sizes.shapes],
    )
    images = [
        _histogram(sizes.short_side, unit="shorter side, pixels"),
        _histogram(sizes.aspect, unit="width / height"),
    ]
    return Section(title="Resolution", blocks=[Gallery(images=images), table, frequent])


def _histogram(of: Histogram, *, unit: str) -> Image:
    plot = figure_png(histogram(of.edges, of.counts, unit=unit, counted="pictures"))
    return Image(data=plot, alt=f"Pictures by {unit}; the table has its spread.")


def kinship_section(kin: PictureRelations, near: SampleSheet | None) -> Section:
    rows = [
        _kin_row("groups", kin.groups_of_several, kin.groups_across_classes, kin.groups_across_splits),
        _kin_row("clusters", kin.clusters, kin.clusters_across_classes, kin.clusters_across_splits),
        _kin_row("repeated files", kin.files_repeated, kin.files_across_classes, kin.files_across_splits),
    ]
    header = [
        "pictures that belong together",
        "of several pictures",
        "in several classes",
        "in several splits",
    ]
    blocks: list[Block] = [Table(caption="A leak is what is in several splits", header=header, rows=rows)]
    if kin.largest_group > 1:
        blocks.append(Text(text=f"The largest group has {kin.largest_group:,} pictures."))
    if near is not None:
        blocks.append(_sheet(near, f"Near duplicates side by side: {near.shown:,} of {near.of:,} pictures"))
    if kin.largest_clusters:
        blocks.append(_cluster_table(kin))
    return Section(title="Groups, duplicates and leaks", blocks=blocks)


def _kin_row(name: str, several: int, classes: int, splits: int) -> list[str]:
    return [name, f"{several:,}", f"{classes:,}", f"{splits:,}"]


def _cluster_table(kin: PictureRelations) -> Table:
    shown = f"{len(kin.largest_clusters):,} of {kin.clusters:,}"
    return Table(
        caption=f"Clusters of near duplicates, the odd and the large ones first ({shown})",
        header=["cluster", "pictures", "classes", "splits", "the first of them"],
        rows=[
            [
                *(cluster.name, f"{len(cluster.pictures):,}", ", ".join(cluster.labels)),
                *(", ".join(cluster.splits), ", ".join(cluster.pictures[:3])),
            ]
            for cluster in kin.largest_clusters
        ],
    )


def _sheet(lineup: SampleSheet, caption: str) -> Image:
    return Image(
        data=lineup.sheet,
        alt=f"Contact sheet, {caption}",
        caption=caption,
        media=Media.JPEG,
        surface=ImageBackground.PHOTOGRAPH,
    )
