"""What comes first, and where it all comes from."""

from __future__ import annotations

from dermpack.dataset.manifest import Dataset
from dermpack.reporting.page import Block, Callout, Facts, Image, Section, Table
from dermpack.reporting.plots import figure_png, height_for, stacked_bars
from trainer.datasets.checks.dataset_warnings import remarks
from trainer.datasets.exploration.explore import Exploration
from trainer.datasets.exploration.report.percent import percent


def first_section(exploration: Exploration) -> Section:
    kin = exploration.kinship
    facts = [
        ("pictures", f"{exploration.pictures:,}"),
        ("classes", f"{len(exploration.classes):,}"),
        ("groups", f"{kin.groups:,}"),
        ("in clusters of near duplicates", f"{kin.clustered:,}"),
        ("left out", f"{exploration.left_out:,}"),
        ("that leak between splits", f"{kin.leaks:,}"),
    ]
    callouts = [Callout(level=remark.level, text=remark.text) for remark in remarks(exploration)]
    return Section(title="What to know first", blocks=[Facts(facts=facts), *callouts])


def classes_section(exploration: Exploration) -> Section:
    names, counts = exploration.classes, exploration.counts
    plot = figure_png(
        stacked_bars(
            names, {split: [of[name] for name in names] for split, of in counts.items()}, unit="pictures"
        ),
        height_inches=height_for(len(names)),
    )
    splits = list(counts)
    rows = [_class_row(exploration, name) for name in names]
    totals = [f"{sum(counts[split].values()):,}" for split in splits]
    rows.append(["all", f"{exploration.pictures:,}", "100.0%", *totals])
    header = ["class", "pictures", "share", *splits]
    largest = max(names, key=exploration.of_class, default="")
    alt = f"Pictures per class, in parts by split; the largest class is {largest}. The table has the numbers."
    caption = "Pictures per class and split; in brackets the groups, which are what counts as one case."
    blocks: list[Block] = [Image(data=plot, alt=alt), Table(caption=caption, header=header, rows=rows)]
    return Section(title="Classes and splits", blocks=blocks)


def _class_row(exploration: Exploration, name: str) -> list[str]:
    total = exploration.of_class(name)
    cells = [
        f"{of[name]:,} ({exploration.groups[split][name]:,})" for split, of in exploration.counts.items()
    ]
    return [name, f"{total:,}", percent(total, exploration.pictures), *cells]


def origin_section(dataset: Dataset) -> Section:
    rows = [
        ["source", dataset.source],
        ["format", dataset.format],
        ["licence", dataset.licence or "not stated"],
        *([["what the pictures do not show", dataset.caution]] if dataset.caution else []),
    ]
    rows += [[f"option {name}", value] for name, value in sorted(dataset.options.items())]
    rows.append(["sha256 of manifest.csv", dataset.sha256])
    return Section(
        title="Where it comes from", blocks=[Table(caption="The dataset", header=["", ""], rows=rows)]
    )
