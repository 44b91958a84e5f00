"""Compare two reports of the same device and data: what changed, and whether it is a regression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.compare.findings import (
    FigureChange,
    LabelledAnswer,
    RegressionLimits,
    compare_labels,
    compare_results,
)
from benchmarks.report.schema import Record, ScoredAnswer, SettingOnTarget, TargetFacts, is_measured
from dermpack.errors import InputError

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
    notes = check_comparable(old, new)
    before = {(result.model, result.where): result for result in old.results}
    findings: list[FigureChange] = []
    # Results in one report only become notes.
    for result in new.results:
        known = before.get((result.model, result.where))
        if known is not None:
            findings += compare_results(known, result, limits)
    findings += [compare_labels(*pair, limits) for pair in _pair_answers(old, new)]
    return ReportComparison(findings=tuple(findings), notes=(*notes, *_unmatched_notes(old, new)))


def check_comparable(old: Record, new: Record) -> tuple[str, ...]:
    """Raise InputError if the reports cannot be compared; else return notes on other differences."""
    pairs = [(one, other) for one in old.targets for other in new.targets if one.target == other.target]
    if not pairs:
        names = [", ".join(place.target for place in record.targets) for record in (old, new)]
        what = f"the reports have no target in common ({names[0]} and {names[1]})"
        hint = "Compare two reports of the same target."
        raise InputError(WHERE, what, hint, code="reports-not-comparable")
    for one, other in pairs:
        _check_device(one, other)
    _check_data(old, new)
    return tuple(_condition_notes(old, new, pairs))


def _check_device(old: TargetFacts, new: TargetFacts) -> None:
    # An emulated processor is the same on every machine.
    if old.is_emulated and new.is_emulated:
        return
    before, now = old.environment, new.environment
    for name in DEVICE:
        if before.get(name, "") != now.get(name, ""):
            change = f"{name} {_quoted(before.get(name))}, now {_quoted(now.get(name))}"
            what = f"{old.target} is a different device: {change}"
            hint = "Compare reports of the same device."
            raise InputError(WHERE, what, hint, code="reports-not-comparable")


def _check_data(old: Record, new: Record) -> None:
    before, now = old.data, new.data
    if before is None or now is None:
        return
    what = ""
    if before.sha256 != now.sha256:
        sources = [f"{data.source} {data.sha256[:12]}" for data in (before, now)]
        what = f"the datasets differ: {sources[0]}, now {sources[1]}"
    elif before.split is not now.split or before.pictures != now.pictures:
        counts = [f"{data.n} of {data.split.value}" for data in (before, now)]
        what = f"the pictures differ: {counts[0]}, now {counts[1]}"
    if what:
        hint = "Measure both with the same --data, --split and --pictures."
        raise InputError(WHERE, what, hint, code="reports-not-comparable")


def _condition_notes(old: Record, new: Record, pairs: list[tuple[TargetFacts, TargetFacts]]) -> Iterator[str]:
    for one, other in pairs:
        for name in CONDITIONS:
            before, now = one.environment.get(name), other.environment.get(name)
            if before != now:
                yield f"{one.target}: {name} {_quoted(before)}, now {_quoted(now)}"
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


def _pair_answers(old: Record, new: Record) -> Iterator[tuple[LabelledAnswer, LabelledAnswer]]:
    """Yield the old and the new answer of each model in the same place, each pair of answers once."""
    if old.data is None or new.data is None:
        return
    before = {(answer.model, where): answer for answer in old.answers for where in answer.where}
    seen: set[tuple[str, str, str]] = set()
    places = [(answer, where) for answer in new.answers for where in answer.where]
    for answer, where in places:
        known = before.get((answer.model, where))
        key = (answer.model, known.outputs_sha256 if known else "", answer.outputs_sha256)
        if known is not None and known.predicted is not None and key not in seen:
            # Settings that share their outputs share the comparison.
            seen.add(key)
            yield _labelled(known, where, old), _labelled(answer, where, new)


def _labelled(answer: ScoredAnswer, where: SettingOnTarget, record: Record) -> LabelledAnswer:
    assert record.data is not None
    return LabelledAnswer(answer=answer, where=where, data=record.data, seed=record.seed)


def _unmatched_notes(old: Record, new: Record) -> Iterator[str]:
    """Yield a note on the results that only one report contains."""
    before, now = (
        {(result.model, result.where) for result in record.results if is_measured(result)}
        for record in (old, new)
    )
    refused = {(result.model, result.where) for result in new.results if result.refused is not None}
    for missing, which in ((before - now - refused, "old"), (now - before, "new")):
        if missing:
            models = ", ".join(sorted({model for model, _ in missing}))
            results = "1 result" if len(missing) == 1 else f"{len(missing)} results"
            yield f"only in the {which} report: {results} of {models}"


def _quoted(text: str | None) -> str:
    return repr(text) if text else "unknown"
