"""Read the reports of `dermpack evaluate` and `dermpack benchmark` about variants, for the model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dermpack.bundle.variants import Variant
from dermpack.errors import TableError
from dermpack.evaluation.report import LABEL_COLUMNS, OVERALL
from dermpack.metrics.slices import MISSING, is_identifier_in_counts
from dermpack.storage.files import read_json

REPORT_FILE = "report.json"
SCHEMA = 1
# What a record without the expected keys or types raises while it is read.
FORMAT_ERRORS = (KeyError, TypeError, ValueError, AttributeError)
ALL_PICTURES = "all pictures"
NO_FIGURE = "–"
BENCHMARK_KIND = "benchmark"
DEVICE_KEYS = ("device", "soc", "processor", "machine", "os")
KERNEL_NAMES = {"xnnpack": "XNNPACK", "none": "its own"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """All pictures, or those with one value in a column; figures are formatted for display."""

    name: str
    n: int
    groups: int
    balanced_accuracy: str
    accuracy: str
    is_few: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """The pictures of one label; formatted figures by their names in the report."""

    label: str
    n: int
    figures: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredDataset:
    """The dataset of an evaluation; what an older report does not contain is empty."""

    sha256: str = ""
    source: str = ""
    caution: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # split → label → pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantScores:
    """The evaluation of one variant on one split."""

    variant: str
    split: str
    n: int
    groups: int
    resamples: int
    data: ScoredDataset
    figures: Mapping[str, str]  # formatted, by their names in the report
    labels: tuple[LabelRow, ...]
    coverage: str  # share of answered pictures at the threshold of the contract, "" without a threshold
    answered_accuracy: str  # of the answered pictures, "" without a threshold
    notes: tuple[str, ...]
    rows: tuple[SliceRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingTimes:
    """The times of one setting of a benchmark, in milliseconds."""

    runtime: str
    kernels: str
    threads: int
    median_ms: float
    ci95_ms: tuple[float, float] | None
    p90_ms: float
    rounds: int
    warm_up_rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTimes:
    """The benchmark of one variant on one device."""

    variant: str
    device: str
    settings: tuple[SettingTimes, ...]
    notes: tuple[str, ...]


def read_scores(paths: Sequence[Path], variants: Sequence[Variant]) -> tuple[VariantScores, ...]:
    """Read evaluations of the variants: report folders, or the JSON output of the command."""
    names = {variant.contract.sha256: variant.name for variant in variants}
    scores = []
    for path in map(_report_file, paths):
        record = read_json(path)
        try:
            variant = names.get(record["model"]["sha256"])
            if record["schema"] != SCHEMA:
                raise ValueError("schema")
            if variant is None:
                what, hint = "a report on a different model", "Evaluate the model.tflite of the export."
                raise TableError(path, what, hint, code="report-mismatch")
            scores.append(_parse_scores(record, variant))
        except FORMAT_ERRORS as error:
            what = 'not a report of "dermpack evaluate"'
            raise TableError(path, what, "Evaluate the model again.", code="invalid-format") from error
    return tuple(scores)


def read_times(paths: Sequence[Path], variants: Sequence[Variant]) -> tuple[VariantTimes, ...]:
    """Read benchmarks of the variants; the times of other models in the same report are ignored."""
    names = {variant.contract.sha256: variant.name for variant in variants}
    times: list[VariantTimes] = []
    for path in map(_report_file, paths):
        record = read_json(path)
        try:
            found = _parse_times(record, names)
        except FORMAT_ERRORS as error:
            what = 'not a report of "dermpack benchmark"'
            raise TableError(path, what, "Benchmark the export again.", code="invalid-format") from error
        if not found:
            what, hint = "a report on a different model", "Benchmark the model.tflite of the export."
            raise TableError(path, what, hint, code="report-mismatch")
        times += found
    return tuple(times)


def _report_file(path: Path) -> Path:
    return path / REPORT_FILE if path.is_dir() else path


def _parse_scores(record: Mapping[str, Any], variant: str) -> VariantScores:
    answered, dataset = record["answered"], record["dataset"]
    labels = [
        LabelRow(
            label=label,
            n=int(values["n"]),
            figures={name: _format_figure(values, name) for name in LABEL_COLUMNS},
        )
        for label, values in record["per_class"].items()
    ]
    slices = [
        _slice_row(f"{values['column']}: {values['value']}", values) for values in _anonymous_slices(record)
    ]
    counts = {
        str(split): {str(label): int(n) for label, n in labels.items()}
        for split, labels in dataset.get("counts", {}).items()
    }
    data = ScoredDataset(
        **{name: str(dataset.get(name, "")) for name in ("sha256", "source", "caution")},
        options={str(name): str(value) for name, value in dataset.get("options", {}).items()},
        counts=counts,
    )
    return VariantScores(
        variant=variant,
        split=str(record["split"]),
        n=int(record["n"]),
        groups=int(record["groups"]),
        resamples=int(record["bootstrap"]["resamples"]),
        data=data,
        figures={name: _format_figure(record, name) for name in OVERALL if record.get(name) is not None},
        labels=tuple(labels),
        coverage=_format_figure(answered, "coverage") if answered else "",
        answered_accuracy=_format_figure(answered, "accuracy") if answered else "",
        notes=tuple(str(note) for note in record["notes"]),
        rows=(_slice_row(ALL_PICTURES, record), *slices),
    )


def _anonymous_slices(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the slices of columns that do not identify people, because a model card is public."""
    options = record["dataset"].get("options", {})
    for column in dict.fromkeys(str(values["column"]) for values in record["slices"]):
        slices = [values for values in record["slices"] if values["column"] == column]
        groups = [int(values["groups"]) for values in slices if values["value"] != MISSING]
        if not is_identifier_in_counts(column, groups, options):
            yield from slices


def _slice_row(name: str, record: Mapping[str, Any]) -> SliceRow:
    return SliceRow(
        name=name,
        n=int(record["n"]),
        groups=int(record["groups"]),
        balanced_accuracy=_format_figure(record, "balanced_accuracy"),
        accuracy=_format_figure(record, "accuracy"),
        is_few=bool(record.get("warning")),
    )


def _format_figure(record: Mapping[str, Any], name: str) -> str:
    """Return a figure with its 95 % interval: "0.742 (0.701 to 0.780)"."""
    value, interval = record[name], record[f"{name}_ci95"]
    if value is None:
        return NO_FIGURE
    interval_text = f" ({float(interval[0]):.3f} to {float(interval[1]):.3f})" if interval else ""
    return f"{float(value):.3f}{interval_text}"


def _parse_times(record: Mapping[str, Any], names: Mapping[str, str]) -> list[VariantTimes]:
    """Return the times of the variants, whose names are given by their sha256."""
    if (record["schema"], record["kind"]) != (SCHEMA, BENCHMARK_KIND):
        raise ValueError("schema")
    found = []
    for model in record["models"]:
        for target in record["targets"] if model["sha256"] in names else ():
            environment = target["environment"]
            # Refused settings have no median, and emulated devices have no times at all.
            settings = tuple(
                _parse_setting(result, environment)
                for result in record["results"]
                if (result["model"], result["target"]) == (model["name"], target["target"])
                and result.get("median_ms") is not None
            )
            if not settings:
                continue
            # The device in words: "Pixel 6, Tensor, 8 cores".
            words = list(dict.fromkeys(str(environment[key]) for key in DEVICE_KEYS if environment.get(key)))
            words += [f"{environment['cores']} cores"] if environment.get("cores") else []
            words += ["a virtual machine"] if environment.get("virtual") else []
            times = VariantTimes(
                variant=names[model["sha256"]],
                device=", ".join(words) or "an unknown device",
                settings=settings,
                notes=tuple(str(note) for note in target["notes"]),
            )
            found.append(times)
    return found


def _parse_setting(result: Mapping[str, Any], environment: Mapping[str, Any]) -> SettingTimes:
    interval = result["median_ci95_ms"]
    return SettingTimes(
        runtime=f"{result['runtime']} {environment.get(result['runtime'], '')}".strip(),
        kernels=KERNEL_NAMES[result["kernels"]],
        threads=int(result["threads"]),
        median_ms=float(result["median_ms"]),
        ci95_ms=(float(interval[0]), float(interval[1])) if interval else None,
        p90_ms=float(result["p90_ms"]),
        rounds=int(result["rounds"]),
        warm_up_rounds=int(result["warm_up_rounds"]),
    )
