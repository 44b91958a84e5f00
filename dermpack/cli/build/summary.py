"""The result of a build, read from its folders: a record, a text for the terminal and the page index.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any

from dermpack.cli.build.run_steps import BuildState
from dermpack.cli.build.steps import WEB_FILE, WEB_STEP, BuildStep, read_parameters
from dermpack.cli.console import silenced_stderr
from dermpack.storage.files import read_json, write_text

if TYPE_CHECKING:
    from benchmarks.report.schema import Record
    from dermpack.contract import Contract
    from dermpack.dataset.manifest import Dataset
    from dermpack.metrics.intervals import Interval
    from dermpack.metrics.summary import Figure

SCHEMA = 1  # of the JSON
SCORE = "balanced_accuracy"
MEGABYTE = 1e6
COLUMNS = 80
INDEX_FILE = "index.html"
RESEARCH_ONLY = "Research software, not a medical device."
REPORTS = {
    "report/report.html": "the pictures, before training",
    "run/report.html": "how the training went",
    "evaluation/report.html": "the file's scores on held-out pictures",
    "export/model.json": "the contract: inputs, outputs, accuracy",
    "benchmark/report.html": "latency and answers on each runtime",
}
HOW_TO_READ = "docs/reading-the-report.md"
EXPLAINED = ("evaluation/report.html", "report/report.html")  # read first, to judge the result
READING = (
    "Look first at the recall of the label that matters, and at its number of pictures: with few pictures, "
    "its interval is wide. Other test pictures of the same kind would give a figure in about this range; "
    "those of another camera, clinic or skin tone may not.",
    "Then read the warnings: duplicates with different labels, leaks and few groups make a figure "
    "misleading, however high it is.",
    f"{HOW_TO_READ} of dermpack explains every figure of the reports, and what not to conclude from it.",
)
BUNDLE = "the bundle that an app embeds; see its README"
WEB = "a web page; unzip it in a folder of its own, and see its README"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationLoss:
    """Points of balanced accuracy that the conversion cost, as it measured them."""

    points: float
    ci95: Interval | None
    split: str
    n: int
    of_float: float  # balanced accuracy of the network, and of the file
    of_file: float
    why_kept: str = ""  # if it is more than the limit


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRecall:
    """The share of the pictures of a label that the file finds."""

    label: str
    n: int
    groups: int
    recall: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class FastestSetting:
    """The setting with the lowest median latency."""

    median_ms: float
    setting: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePrediction:
    """The first label of one picture; `is_sure` unless the file abstains."""

    picture: str
    label: str
    probability: float
    is_sure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDuration:
    """The time of one step."""

    title: str
    seconds: float
    processor_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSummary:
    """The results of a build and their figures."""

    pictures: int
    classes: tuple[str, ...]
    training: str  # the network and what it started from: "mobilenet_v2, 96 px, --weights bundled"
    split: str
    tested: int  # pictures
    tested_groups: int
    file_scored: Figure  # balanced accuracy of the file on the split
    labels: tuple[LabelRecall, ...]
    warnings: tuple[str, ...]  # of the evaluation and of the report of the pictures
    notes: tuple[str, ...]  # of the training, of the report of the pictures and of the benchmark
    file: Path
    size_bytes: int
    recipe: str
    lost: QuantizationLoss | None
    speed: FastestSetting | None  # None where only instructions were counted
    verification: str
    bundle: Path
    bundle_bytes: int
    asked: SamplePrediction | None
    places: Mapping[Path, str]
    steps: tuple[StepDuration, ...]
    seconds: float
    processor_seconds: float

    def record(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        paths = {"file": str(self.file), "bundle": str(self.bundle)}
        places = {str(path): what for path, what in self.places.items()}
        return {**asdict(self), **paths, "schema": SCHEMA, "places": places}

    def result_lines(self) -> Sequence[tuple[str, str]]:
        """Return the lines that state the result, each as a name and a sentence."""
        scores = _score_text(self.file_scored)
        counted = f"{self.tested:,} pictures of {self.tested_groups:,} groups, {self.split} split"
        loss = self.lost
        cost = "not measured"
        if loss is not None:
            points = f"{loss.points:.1f} points of balanced accuracy{_interval(loss.ci95, 1)}"
            cost = (
                f"{self.recipe} costs {points} on {loss.n:,} {loss.split} pictures: "
                f"{loss.of_file:.3f} for the file, {loss.of_float:.3f} for the float network"
            )
            cost += f". {loss.why_kept}" if loss.why_kept else ""
        latency = "latency not measured"
        if self.speed is not None:
            where = f"{self.speed.target}, {self.speed.setting}"
            latency = f"{self.speed.median_ms:.2f} ms for one inference ({where})"
        return (
            ("training", self.training),
            ("balanced accuracy", f"{scores} for the file (95 % interval; {counted})"),
            ("quantization", cost),
            ("size and latency", f"{self.size_bytes / MEGABYTE:.2f} MB; {latency}"),
            ("verification", self.verification),
            ("bundle", f"{self.bundle}, {self.bundle_bytes / MEGABYTE:.2f} MB"),
        )


def read_summary(
    folder: Path, steps: Sequence[BuildStep], state: BuildState, *, asked: SamplePrediction | None = None
) -> BuildSummary:
    """Read the summary from the files of the steps, which may have run in an earlier build."""
    from benchmarks.report.record_file import read_record
    from dermpack.contract import read_contract
    from dermpack.dataset.manifest import read_dataset
    from dermpack.metrics.summary import Figure

    dataset, contract = read_dataset(folder / "dataset"), read_contract(folder / "export" / "model.json")
    tested = read_json(folder / "evaluation" / "report.json")
    trained = read_json(folder / "run" / "training.json")
    recipe = trained["recipe"]
    measured = read_record(folder / "benchmark" / "report.json")
    remarks = read_json(folder / "report" / "report.json")["remarks"]
    described = {
        level: tuple(remark["text"] for remark in remarks if remark["level"] == level)
        for level in ("warning", "note")
    }
    converting = next(step for step in steps if step.name == "convert")
    durations = tuple(
        StepDuration(title=step.title, seconds=record.seconds, processor_seconds=record.processor_seconds)
        for step in steps
        if (record := state.steps.get(step.name)) is not None
    )
    bundle = next(step.output for step in steps if step.name == "package" and step.output is not None)
    places = {INDEX_FILE: "this summary with links to all reports", **REPORTS, bundle.name: BUNDLE}
    if any(step.name in WEB_STEP for step in steps):
        places[WEB_FILE] = WEB
    return BuildSummary(
        pictures=len(dataset.pictures),
        classes=dataset.classes,
        training=f"{recipe['arch']}, {recipe['size']} px, --weights {Path(recipe['weights']).name}",
        split=tested["split"],
        tested=tested["n"],
        tested_groups=tested["groups"],
        file_scored=Figure(value=tested[SCORE], ci95=tested[f"{SCORE}_ci95"]),
        labels=tuple(
            LabelRecall(
                label=label,
                n=scores["n"],
                groups=scores["groups"],
                recall=Figure(value=scores["recall"], ci95=scores["recall_ci95"]),
            )
            for label, scores in tested["per_class"].items()
        ),
        warnings=(*(f"{tested['split']} split: {note}" for note in tested["notes"]), *described["warning"]),
        notes=collect_notes(trained.get("remarks", ()), described["note"], measured),
        file=folder / "export" / "model.tflite",
        size_bytes=contract.size_bytes,
        recipe=f"{contract.recipe.name} {contract.recipe.method}",
        lost=read_loss(contract, dataset, converting),
        speed=_fastest(measured),
        verification=state.steps["verify"].printed,
        bundle=bundle,
        bundle_bytes=bundle.stat().st_size,
        asked=asked,
        places={folder / name: what for name, what in places.items()},
        steps=durations,
        seconds=sum(duration.seconds for duration in durations),
        processor_seconds=sum(duration.processor_seconds for duration in durations),
    )


def collect_notes(training: Sequence[str], pictures: Sequence[str], measured: Record) -> tuple[str, ...]:
    """Return the notes of the steps, each with what it is about unless that is the pictures."""
    from benchmarks.report import text

    latency = (*text.notes(measured), *text.warnings(measured))
    return (
        *(f"training: {remark}" for remark in training),
        *pictures,
        *(f"benchmark: {note}" for note in latency),
    )


def _fastest(record: Record) -> FastestSetting | None:
    """Return the lowest median of the benchmark."""
    timed = [(ms, result) for result in record.results if (ms := result.median_ms) is not None]
    if not timed:
        return None
    ms, result = min(timed, key=lambda pair: pair[0])
    return FastestSetting(median_ms=ms, setting=str(result.where.setting), target=result.where.target)


def read_loss(contract: Contract, dataset: Dataset, converting: BuildStep) -> QuantizationLoss | None:
    """Return the loss of balanced accuracy in the contract: a difference of -0.012 is a loss of 1.2."""

    def points(difference: float) -> float:
        return round(-100 * difference, 1) + 0.0  # never -0.0

    # The first split with the figure is the one on which the conversion decided.
    for accuracy in contract.accuracy:
        for figure in accuracy.figures:
            if figure.metric == SCORE:
                loss = QuantizationLoss(
                    points=points(figure.difference),
                    ci95=(points(figure.ci95[1]), points(figure.ci95[0])) if figure.ci95 else None,
                    split=accuracy.split,
                    n=accuracy.n,
                    of_float=figure.of_float,
                    of_file=figure.of_file,
                )
                return replace(loss, why_kept=_why_kept(loss, contract, dataset, converting))
    return None


def _why_kept(loss: QuantizationLoss, contract: Contract, dataset: Dataset, converting: BuildStep) -> str:
    """Return why a file was kept that costs more than the limit, or "" if it is within the limit."""
    from dermpack.dataset.views import match_labels

    limit = read_parameters(converting)["max_drop"]
    if loss.points <= limit:
        return ""
    more = f"That is more than the limit of {limit:g} (--max-drop)"
    if contract.recipe.name != "int8":
        return f"{more}, which applies to int8 only"
    with silenced_stderr():  # TensorFlow writes to stderr when it is loaded
        from converter.search.accuracy_limit import limit_of_counts
    counts = match_labels(dataset, contract.parents.dataset or "").counts()[loss.split].values()
    one = limit_of_counts(counts, max_drop=limit).one_picture
    chance = "the interval does not show a loss for certain" if loss.ci95 else "there are too few groups"
    return (
        f"{more}; it was kept because a single picture of the rarest label is worth {one:.1f} points here, "
        f"and {chance}: more validation pictures would decide it"
    )


def _score_text(figure: Figure) -> str:
    return "–" if figure.value is None else f"{figure.value:.3f}{_interval(figure.ci95, 3)}"


def _interval(ci95: Interval | None, decimals: int) -> str:
    return f" ({ci95[0]:.{decimals}f} to {ci95[1]:.{decimals}f})" if ci95 else ""


def summary_lines(summary: BuildSummary) -> list[str]:
    """Return what goes to stdout; it fits into eighty columns unless a path is long."""
    sentences = [("file", str(summary.file)), *summary.result_lines()]
    if summary.asked is not None:
        answer = f"{summary.asked.label}, {100 * summary.asked.probability:.1f} %"
        abstains = "" if summary.asked.is_sure else ', below the threshold: "not sure"'
        sentences.append(("prediction", f"{summary.asked.picture}: {answer}{abstains}"))
    width = max(len(name) for name, _ in sentences)
    wrap = TextWrapper(
        COLUMNS, subsequent_indent=" " * (width + 4), break_long_words=False, break_on_hyphens=False
    )
    recalls = [f"{one.label} {_score_text(one.recall)}, n = {one.n:,}" for one in summary.labels]
    sentences[3:3] = [("recall", "; ".join(recalls))]
    sentences += [("warning", text) for text in summary.warnings]
    sentences += [("note", text) for text in summary.notes]
    lines = ["", f"Built from {summary.pictures:,} pictures of {len(summary.classes)} classes"]
    for name, sentence in sentences:
        wrap.initial_indent = f"  {name:<{width}}  "
        lines += wrap.wrap(sentence)
    width = max(len(str(path)) for path in summary.places)
    lines += [f"{HOW_TO_READ} explains how to read these figures.", RESEARCH_ONLY, "", "Files"]
    lines += [f"  {path!s:<{width}}  {what}" for path, what in summary.places.items()]
    width = max(len(step.title) for step in summary.steps)
    lines += ["", f"{'Seconds':<{width + 2}}  {'clock':>7}  {'processors':>10}"]
    rows = [(step.title, step.seconds, step.processor_seconds) for step in summary.steps]
    rows.append(("in all", summary.seconds, summary.processor_seconds))
    lines += [f"  {title:<{width}}  {clock:>7.1f}  {used:>10.1f}" for title, clock, used in rows]
    return lines


def write_index(folder: Path, summary: BuildSummary, *, title: str, subtitle: str) -> None:
    """Write index.html: the result in a few lines, and links to every report."""
    from dermpack.reporting.page import Level, Links, Section, Table, callouts, render_page

    caption = f"{summary.pictures:,} pictures: {', '.join(summary.classes)}"
    result = Table(caption, ("figure", "value"), summary.result_lines())
    rows = [(one.label, f"{one.n:,}", f"{one.groups:,}", _score_text(one.recall)) for one in summary.labels]
    header = ("label", "pictures", "groups", "recall (95 % interval)")
    labels = Table(f"How many pictures of each label the file finds, {summary.split} split", header, rows)
    remarks = [*callouts(summary.warnings), *callouts(summary.notes, level=Level.NOTE)]
    links = {
        path.relative_to(folder).as_posix(): what
        for path, what in summary.places.items()
        if path.name != INDEX_FILE
    }
    explained = [(name, links[name]) for name in EXPLAINED if name in links]
    sections = [
        Section("Result", [result, labels]),
        Section("Warnings", remarks or ["The steps of the build have none."]),
        Section("How to read this", [*READING, Links(explained)]),
        Section("Reports", [Links(list(links.items()))]),
    ]
    write_text(folder / INDEX_FILE, render_page(title, subtitle=subtitle, sections=sections))
