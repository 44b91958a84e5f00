"""Write the report of a run: plots of its history, and an HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dermpack.reporting.page import (
    Block,
    Callout,
    Facts,
    Image,
    Level,
    Section,
    Table,
    Text,
    option_text,
    render_page,
)
from dermpack.reporting.plots import DASHES, SOFT, Axes, figure_png, line_plot
from dermpack.storage.files import write_bytes, write_text
from trainer.runs.run_folder import Phase, Run

PAGE_FILE = "report.html"
MIN_POINTS = 2  # of a curve: a single point is not worth a plot
SHOWN = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "accuracy": "accuracy"}


def write_run_report(run: Run) -> None:
    """Write the plots and report.html into the run's folder."""
    plots = dict(_plots(run))
    for name, data in plots.items():
        write_bytes(run.folder / name, data)
    figures = [(label, f"{run.validation[name]:.3f}") for name, label in SHOWN.items()]
    best = Section(
        title="Validation split",
        blocks=[
            Facts(facts=[*figures, ("pictures", str(run.validation["n"]))]),
            *(Callout(level=Level.WARNING, text=remark) for remark in run.remarks),
            Text(
                text="These figures are optimistic: the best epoch, the temperature, the thresholds and the "
                "coverage were chosen on these pictures. dermpack evaluate scores the test split."
            ),
        ],
    )
    rows = [(name, str(run.counts[name]), f"{run.class_weights[name]:.3f}") for name in run.classes]
    table = Table(caption="Training pictures", header=("class", "pictures", "weight"), rows=rows)
    options = [
        (name.replace("_", "-"), option_text(name, value)) for name, value in sorted(run.recipe.items())
    ]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
    recipe_blocks: list[Block] = [
        Table(caption="Options", header=("option", "value"), rows=options),
        Text(text=f"Trained with {versions}."),
        Text(text=f"Licence of the pictures: {run.licence or 'not stated'}."),
    ]
    # A phase of 0 epochs has no history to show.
    sections = [
        best,
        *(_phase_section(phase, plots) for phase in run.phases if phase.history),
        _decision_section(run, plots),
        Section(title="Classes", blocks=[table]),
        Section(title="Recipe", blocks=recipe_blocks),
    ]
    subtitle = f"{run.spec.arch.value}, {run.spec.size} px, {len(run.classes)} classes"
    page = render_page("Training", subtitle=subtitle, sections=sections)
    write_text(run.folder / PAGE_FILE, page)


def _plots(run: Run) -> Iterator[tuple[str, bytes]]:
    for phase in run.phases:
        if not phase.history:
            continue
        yield (
            f"{_slug(phase)}-loss.png",
            _plot_history(phase, {"training": "loss", "validation": "validation"}),
        )
        yield (
            f"{_slug(phase)}-figures.png",
            _plot_history(phase, {label: name for name, label in SHOWN.items()}),
        )
    # One point means that all confidences are equal: no threshold selects pictures.
    curve = run.abstention.curve
    if len(curve) < MIN_POINTS:
        return
    points = ([point.coverage for point in curve], [point.accuracy for point in curve])
    across = "share of pictures that are classified"
    yield (
        "coverage.png",
        figure_png(line_plot({"accuracy": points}, across=across, up="accuracy on these pictures")),
    )


def _plot_history(phase: Phase, named: Mapping[str, str]) -> bytes:
    numbers = [float(epoch.number) for epoch in phase.history]
    curves = {}
    for label, name in named.items():
        # The training loss is a field of an epoch; the validation loss is one of its figures.
        values = [
            epoch.loss if name == "loss" else epoch.validation["loss" if name == "validation" else name]
            for epoch in phase.history
        ]
        curves[label] = (numbers, values)
    draw_lines = line_plot(curves, across="epoch", up="loss" if "training" in named else "share")

    def draw(axes: Axes) -> None:
        draw_lines(axes)
        # Dashes distinguish curves that lie on top of each other.
        for line, dash in zip(axes.lines, DASHES, strict=False):
            line.set(linestyle=dash, marker="o", markersize=2.5)  # a line needs two epochs, a marker one
        axes.axvline(phase.best_epoch, color=SOFT, linewidth=0.8, label="best epoch")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.legend(loc="best", fontsize=8)

    return figure_png(draw)


def _phase_section(phase: Phase, plots: Mapping[str, bytes]) -> Section:
    summary = f"Epoch {phase.best_epoch} of {len(phase.history)} is the best; ended by: {phase.stop}."
    slug = _slug(phase)
    loss = Image(data=plots[f"{slug}-loss.png"], alt=f"Loss of each epoch, {phase.name}")
    figures = Image(data=plots[f"{slug}-figures.png"], alt=f"Validation figures of each epoch, {phase.name}")
    return Section(title=phase.name.capitalize(), blocks=[Text(text=summary), figures, loss])


def _decision_section(run: Run, plots: Mapping[str, bytes]) -> Section:
    points = [
        (
            point.label,
            f"{point.threshold:.3f}",
            f"{point.sensitivity:.3f}",
            "–" if point.specificity is None else f"{point.specificity:.3f}",
            str(point.positives),
        )
        for point in run.thresholds
    ]
    header = ("label", "threshold", "sensitivity", "specificity", "pictures")
    table = [Table(caption="Operating points", header=header, rows=points)] if points else []
    temperature, abstention = run.temperature, run.abstention
    calibration = (
        f"Temperature {temperature.value:.3f} changes the expected calibration error from "
        f"{temperature.ece_before:.3f} to {temperature.ece_after:.3f}."
    )
    coverage = (
        f"Predictions with a confidence below {abstention.threshold:.3f} are reported as “not sure”. "
        f"{abstention.coverage:.0%} of the pictures are classified, "
        f"{abstention.accuracy:.1%} of these correctly."
    )
    if "coverage.png" in plots:
        plot: Block = Image(data=plots["coverage.png"], alt="Accuracy at each coverage")
    else:
        plot = Text(text="All confidences are equal, so no threshold can select pictures.")
    blocks: list[Block] = [Text(text=calibration), *table, Text(text=coverage), plot]
    return Section(title="Decisions", blocks=blocks)


def _slug(phase: Phase) -> str:
    return phase.name.replace(" ", "-")
