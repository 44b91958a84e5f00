"""Read what `dermpack evaluate` found out about a variant, for its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermpack.bundle.variant import Variant
from dermpack.errors import TableError
from dermpack.files import read_json

REPORT_FILE = "report.json"
SCHEMA = 1
ALL = "all pictures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All pictures, or those with one value in a column; figures as they are shown."""

    name: str
    n: int
    groups: int
    balanced: str
    accuracy: str
    is_few: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One variant on one split."""

    variant: str
    split: str
    n: int
    groups: int
    rows: tuple[Row, ...]


def read_scores(paths: Sequence[Path], variants: Sequence[Variant]) -> tuple[Scored, ...]:
    """Reports, or the JSON of the command; one of another file than those bundled is refused."""
    return tuple(_read(path / REPORT_FILE if path.is_dir() else path, variants) for path in paths)


def _read(path: Path, variants: Sequence[Variant]) -> Scored:
    record = read_json(path)
    try:
        return _scored(record, path, variants)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TableError(path, "is no report of dermpack evaluate", "evaluate the model again") from error


def _scored(record: Mapping[str, Any], path: Path, variants: Sequence[Variant]) -> Scored:
    sha256 = record["model"]["sha256"]
    mine = [of.name for of in variants if of.contract.sha256 == sha256]
    if record["schema"] != SCHEMA:
        raise ValueError("schema")
    if not mine:
        raise TableError(path, "scores another model", "evaluate the model.tflite of the export")
    rows = (_row(ALL, record), *(_row(f"{of['column']}: {of['value']}", of) for of in record["slices"]))
    return Scored(
        variant=mine[0],
        split=str(record["split"]),
        n=int(record["n"]),
        groups=int(record["groups"]),
        rows=rows,
    )


def _row(name: str, record: Mapping[str, Any]) -> Row:
    return Row(
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
        return "–"
    around = f" ({float(interval[0]):.3f} to {float(interval[1]):.3f})" if interval else ""
    return f"{float(value):.3f}{around}"
