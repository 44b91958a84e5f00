"""Read what `dermpack benchmark` measured of a variant, for its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermpack.bundle.texts.evaluation_scores import REPORT_FILE, SCHEMA
from dermpack.bundle.variants import Variant
from dermpack.errors import TableError
from dermpack.storage.files import read_json

KIND = "benchmark"
DEVICE = ("device", "soc", "processor", "machine", "os")  # what tells one from another
KERNELS = {"xnnpack": "XNNPACK", "none": "its own"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingTimes:
    """The times of one setting, in milliseconds."""

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
    """One variant in one place; an emulated one has no times."""

    variant: str
    device: str
    paces: tuple[SettingTimes, ...]
    notes: tuple[str, ...]


def read_times(paths: Sequence[Path], variants: Sequence[Variant]) -> tuple[VariantTimes, ...]:
    """Reports of variants; one of none of those bundled is refused."""
    return tuple(
        of for path in paths for of in _read(path / REPORT_FILE if path.is_dir() else path, variants)
    )


def _read(path: Path, variants: Sequence[Variant]) -> tuple[VariantTimes, ...]:
    record = read_json(path)
    try:
        timed = _timed(record, variants)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = 'not a report of "dermpack benchmark"'
        raise TableError(path, what, "Benchmark the export again.", code="invalid-format") from error
    if not timed:
        what, hint = "a report on a different model", "Benchmark the model.tflite of the export."
        raise TableError(path, what, hint, code="report-mismatch")
    return timed


def _timed(record: Mapping[str, Any], variants: Sequence[Variant]) -> tuple[VariantTimes, ...]:
    if (record["schema"], record["kind"]) != (SCHEMA, KIND):
        raise ValueError("schema")
    ours = {of.contract.sha256: of.name for of in variants}
    names = {of["name"]: ours[of["sha256"]] for of in record["models"] if of["sha256"] in ours}
    found = [
        VariantTimes(
            variant=name,
            device=_device(place["environment"]),
            paces=tuple(_paces(record["results"], model, place)),
            notes=tuple(str(note) for note in place["notes"]),
        )
        for model, name in names.items()
        for place in record["targets"]
    ]
    return tuple(of for of in found if of.paces)


def _paces(results: Sequence[Mapping[str, Any]], model: str, place: Mapping[str, Any]) -> list[SettingTimes]:
    mine = [of for of in results if (of["model"], of["target"]) == (model, place["target"])]
    return [_pace(of, place["environment"]) for of in mine if of.get("median_ms") is not None]


def _pace(of: Mapping[str, Any], environment: Mapping[str, Any]) -> SettingTimes:
    ends = of["median_ci95_ms"]
    return SettingTimes(
        runtime=f"{of['runtime']} {environment.get(of['runtime'], '')}".strip(),
        kernels=KERNELS[of["kernels"]],
        threads=int(of["threads"]),
        median_ms=float(of["median_ms"]),
        ci95_ms=(float(ends[0]), float(ends[1])) if ends else None,
        p90_ms=float(of["p90_ms"]),
        rounds=int(of["rounds"]),
        warm_up_rounds=int(of["warm_up_rounds"]),
    )


def _device(environment: Mapping[str, Any]) -> str:
    told = dict.fromkeys(str(environment[name]) for name in DEVICE if environment.get(name))
    cores = [f"{environment['cores']} cores"] if environment.get("cores") else []
    virtual = ["a virtual machine"] if environment.get("virtual") else []
    return ", ".join([*told, *cores, *virtual]) or "a device that says nothing of itself"
