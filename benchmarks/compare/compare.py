"""Compare two reports of the same device and data: what changed, and whether it is a regression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from benchmarks.report.schema import Record, Result, ScoredAnswer, SettingOnTarget, TargetFacts
from benchmarks.report.text import drop_text, millions_text, ms_text, points_text
from benchmarks.statistics.latency import block_interval, count_blocks, draw_medians
from benchmarks.statistics.outputs import compare_figure
from dermpack.errors import InputError, count_noun
from dermpack.metrics.definitions import weighted_balanced_accuracy
from dermpack.metrics.intervals import Interval
from dermpack.metrics.predictions import Predictions, as_truth

WHERE = "--compare"
# Identify a device. CPU features are left out: a new Linux kernel may list new ones.
DEVICE = ("device", "soc", "processor", "machine", "cores", "quota", "serial")
# May differ between two reports and must be reported, because they may be the reason for a change.
CONDITIONS = (
    *("os", "build", "kernel", "governor", "fixed_performance_mode", "python", "numpy"),
    *("ai-edge-litert", "tflite-runtime", "benchmark_model", "qemu"),
)
NOISE_NOTE = (
    "the intervals contain the noise within each run, but not how busy or warm the device was on another "
    "day: measure again before you act on a slowdown"
)
ROUNDING = 1e-9  # half a point lost with half a point allowed is not a regression
OLD_SEED, NEW_SEED = 0, 1  # two runs have independent noise, so each has its own draws
TargetPair: TypeAlias = tuple[TargetFacts, TargetFacts]  # the same target in the old and the new report
AnswerPair: TypeAlias = tuple[ScoredAnswer, ScoredAnswer, SettingOnTarget]  # old and new, in one place


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionLimits:
    """The largest changes that are not regressions."""

    max_slowdown: float = 0.05  # of a median, if it is significant
    max_drop: float = 0.5  # points of balanced accuracy, even if not significant: these pictures were lost
    max_more_instructions: float = 0.001  # counts repeat exactly, and within 0.0002 after a rebuild


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureChange:
    """One figure, before and now; `change` is a share, or points of accuracy."""

    model: str
    where: str
    figure: str  # median_ms, instructions_per_inference, balanced_accuracy, runs
    old: float
    new: float | None = None  # None if the new report has no such figure
    change: float | None = None
    ci95: Interval | None = None
    is_told: bool  # whether the change is larger than the noise, or than the chance of other pictures
    is_regression: bool
    said: str  # the sentence without the model and the place

    @property
    def sentence(self) -> str:
        return f"{'regression: ' if self.is_regression else ''}{self.model} on {self.where} {self.said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportComparison:
    """The changes of all figures that both reports contain; `notes` are what the reader must know."""

    findings: tuple[FigureChange, ...]
    notes: tuple[str, ...]

    @property
    def regressions(self) -> tuple[FigureChange, ...]:
        return tuple(change for change in self.findings if change.is_regression)

    @property
    def is_regression(self) -> bool:
        return bool(self.regressions)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Regressions first, then significant changes, then the rest."""
        ordered = sorted(self.findings, key=lambda change: (not change.is_regression, not change.is_told))
        return tuple(change.sentence for change in ordered)

    def record(self) -> dict[str, Any]:
        return {
            "is_regression": self.is_regression,
            "findings": [{**asdict(change), "sentence": change.sentence} for change in self.findings],
            "notes": list(self.notes),
        }


def compare_reports(old: Record, new: Record, *, limits: RegressionLimits) -> ReportComparison:
    """Compare equal models, targets and settings; raise InputError for another device or dataset."""
    targets = [(one, other) for one in old.targets for other in new.targets if one.target == other.target]
    obstacle = next(_obstacles(old, new, targets), None)
    if obstacle is not None:
        raise InputError(WHERE, *obstacle, code="reports-not-comparable")
    before = {(result.model, result.where): result for result in old.results}
    # Results in one report only become notes.
    pairs = ((before.get((result.model, result.where)), result) for result in new.results)
    changes = [_compare_costs(known, result, limits) for known, result in pairs if known is not None]
    findings = [change for change in changes if change is not None]
    return ReportComparison(
        findings=(*findings, *_compare_answers(old, new, limits)), notes=tuple(_notes(old, new, targets))
    )


def _obstacles(old: Record, new: Record, pairs: Sequence[TargetPair]) -> Iterator[tuple[str, str]]:
    """Yield what makes the reports incomparable, each with a hint."""
    if not pairs:
        names = [", ".join(place.target for place in record.targets) for record in (old, new)]
        what = f"the reports have no target in common ({names[0]} and {names[1]})"
        yield what, "Compare two reports of the same target."
    for one, other in pairs:
        # An emulated processor is the same on every machine.
        for change in () if one.is_emulated and other.is_emulated else _changes(one, other, DEVICE):
            yield f"{one.target} is a different device: {change}", "Compare reports of the same device."
    before, now = old.data, new.data
    if before is None or now is None:
        return
    hint = "Measure both with the same --data, --split and --pictures."
    if before.sha256 != now.sha256:
        sources = [f"{data.source} {data.sha256[:12]}" for data in (before, now)]
        yield f"the datasets differ: {sources[0]}, now {sources[1]}", hint
    elif before.split is not now.split or before.pictures != now.pictures:
        counts = [f"{data.n} of {data.split.value}" for data in (before, now)]
        yield f"the pictures differ: {counts[0]}, now {counts[1]}", hint


def _notes(old: Record, new: Record, pairs: Sequence[TargetPair]) -> Iterator[str]:
    """Yield what differs between the reports and does not prevent a comparison."""
    for one, other in pairs:
        yield from (f"{one.target}: {change}" for change in _changes(one, other, CONDITIONS))
    # A new file is not an error: the reports compare it under its name.
    files = {model.name: model for model in old.models}
    for model in new.models:
        known = files.get(model.name)
        if known is not None and known.sha256 != model.sha256:
            sizes = f"{known.size_bytes:,} bytes, now {model.size_bytes:,}"
            yield f"{model.name} is another file ({sizes})"
    if old.timing != new.timing:
        yield "the minimum numbers of rounds and seconds differ"
    if any(result.times is not None for result in new.results):
        yield NOISE_NOTE
    if (old.data is None) != (new.data is None):
        yield "only one of the reports scored pictures: accuracy is not compared"
    before, now = (
        {(result.model, result.where) for result in record.results if result.cost is not None}
        for record in (old, new)
    )
    refused = {(result.model, result.where) for result in new.results if result.refused is not None}
    for missing, which in ((before - now - refused, "old"), (now - before, "new")):
        if missing:
            models = ", ".join(sorted({model for model, _ in missing}))
            yield f"only in the {which} report: {count_noun(len(missing), 'result')} of {models}"


def _changes(old: TargetFacts, new: TargetFacts, names: Sequence[str]) -> Iterator[str]:
    """Yield the changed properties: "os 'Debian 12', now unknown"."""
    for name in names:
        before, now = old.environment.get(name, ""), new.environment.get(name, "")
        if before != now:
            yield f"{name} {repr(before) if before else 'unknown'}, now {repr(now) if now else 'unknown'}"


def _compare_costs(old: Result, new: Result, limits: RegressionLimits) -> FigureChange | None:
    """Return the change of the cost of one model under one setting, if both reports have it."""
    if old.cost is not None and new.refused is not None:
        text = f"does not run any more: {new.refused}"
        return _lost_figure(new.model, new.where, figure="runs", old=1.0, text=text)
    before, now = old.cost, new.cost
    is_counted = new.instructions_per_inference is not None
    if not before or not now or is_counted is (old.instructions_per_inference is None):
        return None
    change = now / before - 1
    if is_counted:
        # Counts have no noise: everything above the limit is real.
        ci95, limit = None, 0.0
        is_significant = abs(change) > limits.max_more_instructions
        text = f"takes the same {millions_text(now)} million instructions"
        if change:
            percent = f"{100 * abs(change):.2g} % {'more' if change > 0 else 'fewer'}"
            counts = f"{millions_text(before)} to {millions_text(now)} million"
            rebuild = "" if is_significant else "; a rebuild of the sysroot changes as much"
            text = f"takes {percent} instructions ({counts}{rebuild})"
    else:
        ci95, limit = _time_interval(old, new, now / before), limits.max_slowdown
        is_significant = ci95 is not None and not ci95[0] <= 0 <= ci95[1]
        text = _time_text(before, now, ci95, is_significant=is_significant)
    return FigureChange(
        model=new.model,
        where=str(new.where),
        figure="instructions_per_inference" if is_counted else "median_ms",
        old=before,
        new=now,
        change=change,
        ci95=ci95,
        is_told=is_significant,
        is_regression=is_significant and change > limit,
        said=text,
    )


def _lost_figure(model: str, where: SettingOnTarget, *, figure: str, old: float, text: str) -> FigureChange:
    """Return the regression of a figure that does not exist any more."""
    place = str(where)
    return FigureChange(
        model=model, where=place, figure=figure, old=old, is_told=True, is_regression=True, said=text
    )


def _time_interval(old: Result, new: Result, ratio: float) -> Interval | None:
    """Return the interval of the change of the median, with the noise within the two runs only."""
    draws, counts = [], []
    for result, seed in ((old, OLD_SEED), (new, NEW_SEED)):
        if result.times is None or result.times.rounds_ms is None:
            return None
        values = np.asarray(result.times.rounds_ms)
        counts.append(count_blocks(result.times.turns or 1, len(values)))
        draws.append(draw_medians(values, counts[-1], seed=seed))
    first, second = draws
    if first is None or second is None:
        return None
    ci95 = block_interval(second / first, ratio, blocks=min(counts))
    return ci95 and (ci95[0] - 1, ci95[1] - 1)


def _time_text(before: float, now: float, ci95: Interval | None, *, is_significant: bool) -> str:
    """Format "is 7.0 % slower (5.10 to 5.46 ms, +5.1 to +9.0 %)"."""
    change = now / before - 1
    medians = f"{ms_text(before)} to {ms_text(now)} ms"
    percent = f"{100 * abs(change):.1f} % {'slower' if change > 0 else 'faster'}"
    if ci95 is None:
        return f"is {percent} ({medians}); without raw rounds this cannot be distinguished from noise"
    interval = f"{points_text(ci95[0])} to {points_text(ci95[1])} %"
    verdict = f"is {percent}" if is_significant else "has no significant difference"
    return f"{verdict} ({medians}, {interval})"


def _compare_answers(old: Record, new: Record, limits: RegressionLimits) -> Iterator[FigureChange]:
    """Yield the change of accuracy of each model in the same place, each pair of answers once."""
    if old.data is None or new.data is None:
        return
    before = {(answer.model, where): answer for answer in old.answers for where in answer.where}
    pairs: dict[tuple[str, ...], AnswerPair] = {}
    for answer in new.answers:
        for where in answer.where:
            known = before.get((answer.model, where))
            if known is not None and known.predicted is not None:
                # Settings that share their outputs share the comparison.
                key = (answer.model, known.outputs_sha256, answer.outputs_sha256)
                pairs.setdefault(key, (known, answer, where))
    for pair in pairs.values():
        yield _compare_labels(old, new, pair, limits)


def _compare_labels(old: Record, new: Record, pair: AnswerPair, limits: RegressionLimits) -> FigureChange:
    """Return the change of accuracy on the same pictures; if it cannot be scored now, a regression."""
    assert old.data is not None and new.data is not None
    known, answer, where = pair
    figure = "balanced_accuracy"
    if answer.predicted is None:
        text = f"cannot be scored any more: {answer.unscored}"
        score = (known.balanced_accuracy.value if known.balanced_accuracy else None) or 0.0
        return _lost_figure(answer.model, where, figure=figure, old=score, text=text)
    # By name: the two models may have different labels, in different orders.
    first = [old.data.labels[index] for index in known.predicted or ()]
    here = [new.data.labels[index] for index in answer.predicted]
    labels = tuple(dict.fromkeys((*new.data.labels, *first)))  # the old model may have had other labels
    before, now = (
        Predictions(
            classes=labels,
            pictures=new.data.pictures,
            groups=tuple(f"{group}" for group in new.data.group),
            truth=as_truth(new.data.truth),
            # A probability of 1 for each label: balanced accuracy depends on the labels only.
            probabilities=np.eye(len(labels))[[labels.index(name) for name in names]],
        )
        for names in (first, here)
    )
    change = compare_figure(before, now, weighted_balanced_accuracy, seed=new.seed)
    flips = sum(one != other for one, other in zip(first, here, strict=True))
    is_significant = change.ci95 is not None and not change.ci95[0] <= 0 <= change.ci95[1]
    # The limits apply to these pictures; the interval is about pictures in general.
    if flips:
        doubt = "; for other pictures the difference is not significant"
        text = f"{drop_text(change, doubt=doubt)}: {flips:,} of {new.data.n:,} pictures get another label"
    else:
        text = f"gives all {new.data.n:,} pictures the same labels"
    return FigureChange(
        model=answer.model,
        where=str(where),
        figure=figure,
        old=change.first,
        new=change.here,
        change=100 * change.difference,
        ci95=change.ci95 and (100 * change.ci95[0], 100 * change.ci95[1]),
        is_told=is_significant,
        is_regression=-100 * change.difference > limits.max_drop + ROUNDING,
        said=text,
    )
