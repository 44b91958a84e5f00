"""What a person looks at after a training: plots of its history, and a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dermpack.reporting.option_text import option_text
from dermpack.reporting.page import (
    Block,
    Callout,
    Facts,
    Image,
    Level,
    Section,
    Table,
    Text,
    render_page,
)
from dermpack.reporting.plots import DASHES, SOFT, Axes, Draw, figure_png, lines
from dermpack.storage.files import write_bytes, write_text
from trainer.runs.run_folder import Phase, Run

PAGE_FILE = "report.html"
FEWEST_POINTS = 2  # of a curve: one is a plot of nothing
SHOWN = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "accuracy": "accuracy"}


def write_story(run: Run) -> None:
    """Write the plots and report.html into the run's folder."""
    plots = dict(_plots(run))
    for name, data in plots.items():
        write_bytes(run.folder / name, data)
    write_text(run.folder / PAGE_FILE, _page(run, plots))


def _plots(run: Run) -> Iterator[tuple[str, bytes]]:
    for phase in run.phases:
        if not phase.history:
            continue
        yield f"{_slug(phase)}-loss.png", _figure(phase, {"training": "loss", "validation": "validation"})
        yield f"{_slug(phase)}-figures.png", _figure(phase, {label: name for name, label in SHOWN.items()})
    curve = run.abstention.curve
    if len(curve) < FEWEST_POINTS:
        return
    points = ([point.coverage for point in curve], [point.accuracy for point in curve])
    across = "share of pictures that get an answer"
    yield "coverage.png", figure_png(lines({"accuracy": points}, across=across, up="accuracy of the answers"))


def _figure(phase: Phase, named: Mapping[str, str]) -> bytes:
    numbers = [float(epoch.number) for epoch in phase.history]
    curves = {label: (numbers, _series(phase, name)) for label, name in named.items()}
    up = "loss" if "training" in named else "share"
    return figure_png(_with_epochs(lines(curves, across="epoch", up=up), best=phase.best_epoch))


def _with_epochs(draw: Draw, *, best: int) -> Draw:
    """Whole numbers below, dashes that part curves which cover each other, and the best epoch."""

    def with_epochs(axes: Axes) -> None:
        draw(axes)
        for line, dash in zip(axes.lines, DASHES, strict=False):
            line.set(linestyle=dash, marker="o", markersize=2.5)  # one epoch alone draws no line
        axes.axvline(best, color=SOFT, linewidth=0.8, label="best epoch")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.legend(loc="best", fontsize=8)

    return with_epochs


def _series(phase: Phase, name: str) -> list[float]:
    if name == "loss":
        return [epoch.loss for epoch in phase.history]
    return [epoch.validation["loss" if name == "validation" else name] for epoch in phase.history]


def _page(run: Run, plots: Mapping[str, bytes]) -> str:
    n = run.validation["n"]
    facts = [(label, f"{run.validation[name]:.3f}") for name, label in SHOWN.items()]
    best = Section(
        title="On the validation split",
        blocks=[
            Facts(facts=[*facts, ("pictures", str(n))]),
            *(Callout(level=Level.WARNING, text=remark) for remark in run.remarks),
            Text(
                text="These pictures chose the best epoch, and temperature, thresholds and coverage "
                "were fitted on them: the figures flatter. The test split is left to dermpack evaluate."
            ),
        ],
    )
    sections = [best, *(_phase_section(phase, plots) for phase in run.phases if phase.history)]
    sections += [_decisions(run, plots), _classes(run), _recipe(run)]
    subtitle = f"{run.spec.arch.value}, {run.spec.size} px, {len(run.classes)} classes"
    return render_page("Training", subtitle=subtitle, sections=sections)


def _phase_section(phase: Phase, plots: Mapping[str, bytes]) -> Section:
    last = f"Epoch {phase.best_epoch} of {len(phase.history)} is the best; ended by: {phase.stop}."
    slug = _slug(phase)
    loss = Image(data=plots[f"{slug}-loss.png"], alt=f"Loss of each epoch, {phase.name}")
    figures = Image(data=plots[f"{slug}-figures.png"], alt=f"Validation figures of each epoch, {phase.name}")
    return Section(title=phase.name.capitalize(), blocks=[Text(text=last), figures, loss])


def _decisions(run: Run, plots: Mapping[str, bytes]) -> Section:
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
        f"Temperature {temperature.value:.3f}: the expected calibration error goes from "
        f"{temperature.ece_before:.3f} to {temperature.ece_after:.3f}."
    )
    unsure = (
        f"Below a confidence of {abstention.threshold:.3f} the answer is “not sure”. "
        f"{abstention.coverage:.0%} of the pictures get another answer, and {abstention.accuracy:.1%} of "
        "these are right."
    )
    blocks = [Text(text=calibration), *table, Text(text=unsure), *_coverage(plots)]
    return Section(title="Decisions", blocks=blocks)


def _coverage(plots: Mapping[str, bytes]) -> list[Block]:
    if "coverage.png" not in plots:
        return [Text(text="All confidences are equal: no threshold would choose among the pictures.")]
    return [Image(data=plots["coverage.png"], alt="Accuracy of the answers at each coverage")]


def _classes(run: Run) -> Section:
    rows = [(name, str(run.counts[name]), f"{run.class_weights[name]:.3f}") for name in run.classes]
    table = Table(caption="Training pictures", header=("class", "pictures", "weight"), rows=rows)
    return Section(title="Classes", blocks=[table])


def _recipe(run: Run) -> Section:
    rows = [(name.replace("_", "-"), option_text(name, value)) for name, value in sorted(run.recipe.items())]
    table = Table(caption="Options", header=("option", "value"), rows=rows)
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
    licence = Text(text=f"Licence of the pictures: {run.licence or 'not stated'}.")
    return Section(title="Recipe", blocks=[table, Text(text=f"Made with {versions}."), licence])


def _slug(phase: Phase) -> str:
    return phase.name.replace(" ", "-")
