"""Read what `dermpack evaluate` found out about a variant, for its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dermpack.bundle.variants import Variant
from dermpack.errors import TableError
from dermpack.evaluation.report_page import LABEL_COLUMNS, OVERALL
from dermpack.metrics.identifier_columns import told_apart
from dermpack.metrics.slices import MISSING
from dermpack.storage.files import read_json

REPORT_FILE = "report.json"
SCHEMA = 1
ALL = "all pictures"
NOTHING = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """All pictures, or those with one value in a column; figures as they are shown."""

    name: str
    n: int
    groups: int
    balanced: str
    accuracy: str
    is_few: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """The pictures of one label; figures as they are shown, by the report's names for them."""

    label: str
    n: int
    figures: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredDataset:
    """The dataset that was scored on; what an older report does not tell is empty."""

    sha256: str = ""
    source: str = ""
    caution: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # split → label → pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantScores:
    """One variant on one split."""

    variant: str
    split: str
    n: int
    groups: int
    resamples: int
    data: ScoredDataset
    figures: Mapping[str, str]  # as they are shown, by the report's names for them
    labels: tuple[LabelRow, ...]
    covered: str  # the share that was answered at the contract's threshold, and of these the right ones;
    right: str  # both empty where the model always answers
    notes: tuple[str, ...]
    rows: tuple[SliceRow, ...]


def read_scores(paths: Sequence[Path], variants: Sequence[Variant]) -> tuple[VariantScores, ...]:
    """Reports, or the JSON of the command; one of another file than those bundled is refused."""
    return tuple(_read(path / REPORT_FILE if path.is_dir() else path, variants) for path in paths)


def _read(path: Path, variants: Sequence[Variant]) -> VariantScores:
    record = read_json(path)
    try:
        return _scored(record, path, variants)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = 'not a report of "dermpack evaluate"'
        raise TableError(path, what, "Evaluate the model again.", code="invalid-format") from error


def _scored(record: Mapping[str, Any], path: Path, variants: Sequence[Variant]) -> VariantScores:
    sha256 = record["model"]["sha256"]
    mine = [of.name for of in variants if of.contract.sha256 == sha256]
    if record["schema"] != SCHEMA:
        raise ValueError("schema")
    if not mine:
        what, hint = "a report on a different model", "Evaluate the model.tflite of the export."
        raise TableError(path, what, hint, code="report-mismatch")
    answered = record["answered"]
    return VariantScores(
        variant=mine[0],
        split=str(record["split"]),
        n=int(record["n"]),
        groups=int(record["groups"]),
        resamples=int(record["bootstrap"]["resamples"]),
        data=_data(record["dataset"]),
        figures={name: _figure(record, name) for name in OVERALL if record.get(name) is not None},
        labels=tuple(_label_row(label, of) for label, of in record["per_class"].items()),
        covered=_figure(answered, "coverage") if answered else "",
        right=_figure(answered, "accuracy") if answered else "",
        notes=tuple(str(note) for note in record["notes"]),
        rows=(_row(ALL, record), *(_row(f"{of['column']}: {of['value']}", of) for of in _shown(record))),
    )


def _shown(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The slices that name nobody: a card is given to everybody, whatever was asked of the evaluation."""
    options = record["dataset"].get("options", {})
    for column in dict.fromkeys(str(of["column"]) for of in record["slices"]):
        slices = [of for of in record["slices"] if of["column"] == column]
        groups = [int(of["groups"]) for of in slices if of["value"] != MISSING]
        if not told_apart(column, groups, options):
            yield from slices


def _data(record: Mapping[str, Any]) -> ScoredDataset:
    counts = record.get("counts", {})
    return ScoredDataset(
        **{name: str(record.get(name, "")) for name in ("sha256", "source", "caution")},
        options={str(name): str(value) for name, value in record.get("options", {}).items()},
        counts={str(split): {str(label): int(n) for label, n in of.items()} for split, of in counts.items()},
    )


def _label_row(label: str, record: Mapping[str, Any]) -> LabelRow:
    figures = {name: _figure(record, name) for name in LABEL_COLUMNS}
    return LabelRow(label=label, n=int(record["n"]), figures=figures)


def _row(name: str, record: Mapping[str, Any]) -> SliceRow:
    return SliceRow(
        name=name,
        n=int(record["n"]),
        groups=int(record["groups"]),
        balanced=_figure(record, "balanced_accuracy"),
        accuracy=_figure(record, "accuracy"),
        is_few=bool(record.get("warning")),
    )


def _figure(record: Mapping[str, Any], name: str) -> str:
    value, interval = record[name], record[f"{name}_ci95"]
    if value is None:
        return NOTHING
    around = f" ({float(interval[0]):.3f} to {float(interval[1]):.3f})" if interval else ""
    return f"{float(value):.3f}{around}"
