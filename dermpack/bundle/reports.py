"""Read the reports of `dermpack evaluate` and `dermpack benchmark` about variants, for the model card."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from dermpack.bundle.variants import Variant
from dermpack.errors import TableError
from dermpack.evaluation.report import LABEL_COLUMNS, OVERALL
from dermpack.metrics.slices import MISSING, is_identifier_in_counts
from dermpack.storage.codec import decode
from dermpack.storage.files import read_json

REPORT_FILE = "report.json"
SCHEMA = 1
# What a record without the expected keys or types raises while it is read.
FORMAT_ERRORS = (KeyError, TypeError, ValueError, AttributeError)
ALL_PICTURES = "all pictures"
SLICE_FIGURES = ("balanced_accuracy", "accuracy")
NO_FIGURE = "–"
BENCHMARK_KIND = "benchmark"
DEVICE_KEYS = ("device", "soc", "processor", "machine", "os")
KERNEL_NAMES = {"xnnpack": "XNNPACK", "none": "its own"}
# The notes of a benchmark give the reasons; a reader of the card needs none: the times are not concerned.
NOTE_OF_PROFILE, NO_PROFILE = "no profile of its operators", "operators were not profiled"
Record = TypeVar("Record")
# Parses a report with the names of the variants by their sha256; returns None if it is about other models.
Parse = Callable[[Mapping[str, Any], Mapping[str, str]], Sequence[Record] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRow:
    """All pictures, those of a label, or those with one value in a column."""

    name: str
    n: int
    groups: int
    figures: Mapping[str, str]  # formatted, by their names in the report
    is_few: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredDataset:
    """The dataset of an evaluation; fields that an older report lacks are empty."""

    sha256: str = ""
    source: str = ""
    caution: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # split → label → pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdScore:
    """What a threshold of the contract finds and costs on the pictures of an evaluation."""

    label: str
    threshold: float
    sensitivity: float | None  # None without a picture of the label
    specificity: float | None  # None without another picture
    positives: int
    n: int
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantScores:
    """The evaluation of one variant on one split; figures are formatted, by their names in the report."""

    variant: str
    split: str
    n: int
    groups: int
    resamples: int
    data: ScoredDataset
    figures: Mapping[str, str]
    labels: tuple[ScoredRow, ...]
    thresholds: tuple[ThresholdScore, ...]
    answered: Mapping[str, str]  # coverage and accuracy at the threshold of the contract, if it has one
    notes: tuple[str, ...]
    rows: tuple[ScoredRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingTimes:
    """The times of one setting of a benchmark, in milliseconds."""

    runtime: str
    kernels: str
    threads: int
    median_ms: float
    median_ci95_ms: tuple[float, float] | None
    rounds: int
    warm_up_rounds: int
    p90_ms: float | None = None  # the tool that measures on phones reports none


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTimes:
    """The benchmark of one variant on one device."""

    variant: str
    device: str
    settings: tuple[SettingTimes, ...]
    notes: tuple[str, ...]


def read_scores(paths: Iterable[Path], variants: Sequence[Variant]) -> tuple[VariantScores, ...]:
    """Read evaluations of the variants: report folders, or the JSON output of the command."""
    again = "Evaluate the model again."
    return _read_reports(paths, variants, _parse_scores, command="evaluate", again=again)


def read_times(paths: Iterable[Path], variants: Sequence[Variant]) -> tuple[VariantTimes, ...]:
    """Read benchmarks of the variants; the times of other models in the same report are ignored.

    A benchmark that only counted instructions has no times.
    """
    again = "Benchmark the export again."
    return _read_reports(paths, variants, _parse_times, command="benchmark", again=again)


def _read_reports(
    paths: Iterable[Path], variants: Sequence[Variant], parse: Parse[Record], *, command: str, again: str
) -> tuple[Record, ...]:
    names = {variant.contract.sha256: variant.name for variant in variants}
    results: list[Record] = []
    for path in paths:
        file = path / REPORT_FILE if path.is_dir() else path
        record = read_json(file)
        try:
            if record["schema"] != SCHEMA:
                raise ValueError("schema")
            found = parse(record, names)
        except FORMAT_ERRORS as error:
            what = f'not a report of "dermpack {command}"'
            raise TableError(file, what, again, code="invalid-format") from error
        if found is None:
            hint = f"{command.capitalize()} the model.tflite of the export."
            raise TableError(file, "a report on a different model", hint, code="report-mismatch")
        results += found
    return tuple(results)


def _parse_scores(record: Mapping[str, Any], names: Mapping[str, str]) -> list[VariantScores] | None:
    variant = names.get(record["model"]["sha256"])
    if variant is None:
        return None
    total, answered = _row(ALL_PICTURES, record, SLICE_FIGURES), record["answered"] or {}
    slices = [
        _row(f"{values['column']}: {values['value']}", values, SLICE_FIGURES)
        for values in _anonymous_slices(record)
    ]
    scores = VariantScores(
        variant=variant,
        split=str(record["split"]),
        n=total.n,
        groups=total.groups,
        resamples=int(record["bootstrap"]["resamples"]),
        data=_decode_known(ScoredDataset, record["dataset"]),
        figures={name: _format_figure(record, name) for name in OVERALL if record.get(name) is not None},
        labels=tuple(_row(label, values, LABEL_COLUMNS) for label, values in record["per_class"].items()),
        thresholds=tuple(
            ThresholdScore(
                label=str(point["label"]),
                threshold=float(point["threshold"]),
                sensitivity=_optional(point["sensitivity"]),
                specificity=_optional(point["specificity"]),
                positives=int(point["positives"]),
                n=total.n,
                split=str(record["split"]),
            )
            for point in record.get("operating", ())  # an older report has none
        ),
        answered={name: _format_figure(answered, name) for name in ("coverage", "accuracy") if answered},
        notes=tuple(str(note) for note in record["notes"]),
        rows=(total, *slices),
    )
    return [scores]


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)


def _anonymous_slices(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the slices of columns that do not identify people, because a model card is public."""
    options = record["dataset"].get("options", {})
    for column in dict.fromkeys(str(values["column"]) for values in record["slices"]):
        slices = [values for values in record["slices"] if values["column"] == column]
        groups = [int(values["groups"]) for values in slices if values["value"] != MISSING]
        if not is_identifier_in_counts(column, groups, options):
            yield from slices


def _row(name: str, record: Mapping[str, Any], figures: Iterable[str]) -> ScoredRow:
    return ScoredRow(
        name=name,
        n=int(record["n"]),
        groups=int(record["groups"]),
        figures={figure: _format_figure(record, figure) for figure in figures},
        is_few=bool(record.get("warning")),
    )


def _format_figure(record: Mapping[str, Any], name: str) -> str:
    """Return a figure with its 95 % interval: "0.742 (0.701 to 0.780)"."""
    value, interval = record[name], record[f"{name}_ci95"]
    if value is None:
        return NO_FIGURE
    interval_text = f" ({float(interval[0]):.3f} to {float(interval[1]):.3f})" if interval else ""
    return f"{float(value):.3f}{interval_text}"


def _parse_times(record: Mapping[str, Any], names: Mapping[str, str]) -> list[VariantTimes] | None:
    if record["kind"] != BENCHMARK_KIND:
        raise ValueError("kind")
    if not any(model["sha256"] in names for model in record["models"]):
        return None
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
            notes = (NO_PROFILE if NOTE_OF_PROFILE in str(note) else str(note) for note in target["notes"])
            times = VariantTimes(
                variant=names[model["sha256"]],
                device=", ".join(words) or "an unknown device",
                settings=settings,
                notes=tuple(dict.fromkeys(notes)),
            )
            found.append(times)
    return found


def _parse_setting(result: Mapping[str, Any], environment: Mapping[str, Any]) -> SettingTimes:
    setting = _decode_known(SettingTimes, result)
    runtime = f"{setting.runtime} {environment.get(setting.runtime, '')}".strip()
    return replace(setting, runtime=runtime, kernels=KERNEL_NAMES[setting.kernels])


def _decode_known(record_type: type[Record], record: Mapping[str, Any]) -> Record:
    """Return the record after leaving out the keys that it does not have: a report contains more."""
    known = {field.name for field in fields(record_type)}  # type: ignore[arg-type] # always a dataclass
    return decode(record_type, {name: value for name, value in record.items() if name in known})
