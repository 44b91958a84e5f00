"""Write the report of a run: plots of its history, and an HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dermpack.contract.measured import Temperature
from dermpack.metrics.calibration import BINS
from dermpack.reporting.page import (
    Block,
    Facts,
    Image,
    Section,
    Table,
    callouts,
    option_text,
    render_page,
    threshold_text,
)
from dermpack.reporting.plots import DASHES, SOFT, Axes, figure_png, line_plot, plot
from dermpack.storage.files import write_bytes, write_text
from trainer.runs.run_folder import Phase, Run

PAGE_FILE = "report.html"
MIN_POINTS = 2  # of a curve: a single point is not worth a plot
SHOWN = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "accuracy": "accuracy"}
OPTIMISTIC = (
    "These figures are optimistic: the best epoch, the temperature, the thresholds and the coverage were "
    "chosen on these pictures. dermpack evaluate scores the test split."
)


def write_run_report(run: Run) -> None:
    """Write the plots and report.html into the run's folder."""
    figures = [(label, f"{run.validation[name]:.3f}") for name, label in SHOWN.items()]
    facts = Facts([*figures, ("pictures", str(run.validation["n"]))])
    rows = [(name, str(run.counts[name]), f"{run.class_weights[name]:.3f}") for name in run.classes]
    table = Table("Training pictures", ("class", "pictures", "weight"), rows)
    options = [
        (name.replace("_", "-"), option_text(name, value)) for name, value in sorted(run.recipe.items())
    ]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
    notes = (f"Trained with {versions}.", f"Licence of the pictures: {run.licence or 'not stated'}.")
    # A phase of 0 epochs has no history to show.
    sections = [
        Section("Validation split", [facts, *callouts(run.remarks), OPTIMISTIC]),
        *(_phase_section(phase, run.folder) for phase in run.phases if phase.history),
        _decision_section(run),
        Section("Classes", [table]),
        Section("Recipe", [Table("Options", ("option", "value"), options), *notes]),
    ]
    subtitle = f"{run.spec.arch.value}, {run.spec.size} px, {len(run.classes)} classes"
    page = render_page("Training", subtitle=subtitle, sections=sections)
    write_text(run.folder / PAGE_FILE, page)


def _phase_section(phase: Phase, folder: Path) -> Section:
    """Plot a phase into two files of the folder, and return its section of the page."""
    blocks: list[Block] = [
        f"Epoch {phase.best_epoch} of {len(phase.history)} is the best; ended by: {phase.stop}."
    ]
    curves = {name: [epoch.validation[name] for epoch in phase.history] for name in ("loss", *SHOWN)}
    shares = {label: curves[name] for name, label in SHOWN.items()}
    losses = {"training": [epoch.loss for epoch in phase.history], "validation": curves["loss"]}
    for kind, title, up, plotted in (
        ("figures", "Validation figures", "share", shares),
        ("loss", "Loss", "loss", losses),
    ):
        data = figure_png(_history_plot(phase, plotted, up=up))
        write_bytes(folder / f"{phase.name.replace(' ', '-')}-{kind}.png", data)
        blocks.append(Image(data=data, alt=f"{title} of each epoch, {phase.name}"))
    return Section(phase.name.capitalize(), blocks)


@plot
def _history_plot(axes: Axes, phase: Phase, curves: Mapping[str, Sequence[float]], *, up: str) -> None:
    numbers = [float(epoch.number) for epoch in phase.history]
    line_plot({label: (numbers, values) for label, values in curves.items()}, across="epoch", up=up)(axes)
    # Dashes distinguish curves that lie on top of each other.
    for line, dash in zip(axes.lines, DASHES, strict=False):
        line.set(linestyle=dash, marker="o", markersize=2.5)  # a line needs two epochs, a marker one
    axes.axvline(phase.best_epoch, color=SOFT, linewidth=0.8, label="best epoch")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.legend(loc="best", fontsize=8)


def _describe_temperature(temperature: Temperature) -> str:
    before, after = f"{temperature.ece_before:.3f}", f"{temperature.ece_after:.3f}"
    text = (
        f"Temperature {temperature.value:.3f}, which minimizes the negative log-likelihood "
        f"({temperature.nll_before:.3f} before, {temperature.nll_after:.3f} after), changes the expected "
        f"calibration error from {before} to {after}."
    )
    if temperature.ece_after < temperature.ece_before or before == after:
        return text
    return (
        f"{text} The calibration error rises although the likelihood improves: it is a mean over {BINS} "
        f"bins, some of which contain few of the {temperature.n} pictures."
    )


def _decision_section(run: Run) -> Section:
    points = []
    for point in run.thresholds:
        specificity = "–" if point.specificity is None else f"{point.specificity:.3f}"
        figures = (threshold_text(point.threshold), f"{point.sensitivity:.3f}", specificity)
        points.append((point.label, *figures, str(point.positives)))
    header = ("label", "threshold", "sensitivity", "specificity", "pictures")
    table = [Table("Operating points", header, points)] if points else []
    abstention = run.abstention
    coverage = (
        f"Predictions with a confidence below {threshold_text(abstention.threshold)} are reported as "
        f"“not sure”. {abstention.coverage:.0%} of the pictures are classified, "
        f"{abstention.accuracy:.1%} of these correctly."
    )
    # One point means that all confidences are equal: no threshold selects pictures.
    coverage_plot: Block = "All confidences are equal, so no threshold can select pictures."
    if len(abstention.curve) >= MIN_POINTS:
        points_of_curve = [(point.coverage, point.accuracy) for point in abstention.curve]
        across, up = "share of pictures that are classified", "accuracy on these pictures"
        coverages, accuracies = zip(*points_of_curve, strict=True)
        data = figure_png(line_plot({"accuracy": (coverages, accuracies)}, across=across, up=up))
        write_bytes(run.folder / "coverage.png", data)
        coverage_plot = Image(data=data, alt="Accuracy at each coverage")
    return Section("Decisions", [_describe_temperature(run.temperature), *table, coverage, coverage_plot])
