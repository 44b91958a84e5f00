"""Compare two reports of the same device and data: what changed, is it sure, is it a regression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.compare.comparability import check_comparable
from benchmarks.compare.findings import (
    FigureChange,
    LabelledAnswer,
    RegressionLimits,
    found_of_labels,
    found_of_results,
)
from benchmarks.report.record_lookup import is_measured
from benchmarks.report.schema import Record, ScoredAnswer, SettingOnTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportComparison:
    """Every figure that stands in both reports; `notes` is what a reader must know beside them."""

    findings: tuple[FigureChange, ...]
    notes: tuple[str, ...]

    @property
    def regressions(self) -> tuple[FigureChange, ...]:
        return tuple(of for of in self.findings if of.is_regression)

    @property
    def is_regression(self) -> bool:
        return bool(self.regressions)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Regressions first, then what surely changed, then the rest."""
        ordered = sorted(self.findings, key=lambda of: (not of.is_regression, not of.is_told))
        return tuple(of.sentence for of in ordered)

    def record(self) -> dict[str, Any]:
        return {
            "is_regression": self.is_regression,
            "findings": [{**asdict(of), "sentence": of.sentence} for of in self.findings],
            "notes": list(self.notes),
        }


def compare(old: Record, new: Record, *, limits: RegressionLimits) -> ReportComparison:
    """Model, target and setting are matched; another device or dataset is an error."""
    notes = check_comparable(old, new)
    before = {(of.model, of.where): of for of in old.results}
    matched = [(before[of.model, of.where], of) for of in new.results if (of.model, of.where) in before]
    findings = [finding for pair in matched for finding in found_of_results(*pair, limits)]
    findings += [found_of_labels(*pair, limits) for pair in _labels(old, new)]
    return ReportComparison(findings=tuple(findings), notes=(*notes, *_unmatched(old, new)))


def _labels(old: Record, new: Record) -> Iterator[tuple[LabelledAnswer, LabelledAnswer]]:
    """What each model says now and said before in the same place, each pair of answers once."""
    before = {(of.model, where): of for of in old.answers for where in of.where}
    told = set[tuple[str, str, str]]()
    for now in new.answers:
        for where in now.where:
            known = before.get((now.model, where))
            key = (now.model, known.outputs_sha256 if known else "", now.outputs_sha256)
            if known is None or known.predicted is None or key in told:
                continue
            told.add(key)
            if old.data is not None and new.data is not None:
                yield _labelled(known, where, old), _labelled(now, where, new)


def _labelled(answer: ScoredAnswer, where: SettingOnTarget, record: Record) -> LabelledAnswer:
    assert record.data is not None
    return LabelledAnswer(answer=answer, where=where, data=record.data, seed=record.seed)


def _unmatched(old: Record, new: Record) -> Iterator[str]:
    """What stands in one report only."""
    before, now = (
        {(of.model, of.where) for of in record.results if is_measured(of)} for record in (old, new)
    )
    refused = {(of.model, of.where) for of in new.results if of.refused is not None}
    for missing, which in ((before - now - refused, "old"), (now - before, "new")):
        models = sorted({model for model, _ in missing})
        if models:
            yield f"only in the {which} report: {len(missing)} results, of {', '.join(models)}"
