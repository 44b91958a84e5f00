"""report.json: a record as text, and back, believing nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from benchmarks.report.record_checks import check_record
from benchmarks.report.schema import KIND, SCHEMA, Record, Result, SettingOnTarget, Times
from dermpack.errors import TableError
from dermpack.storage.codec import decode
from dermpack.storage.files import json_text, read_json

RECORD_FILE = "report.json"
GIVE_REPORT = 'Give the report.json of "dermpack benchmark".'
MEASURE_AGAIN = 'Measure again with "dermpack benchmark".'
PLACE_KEYS = tuple(field.name for field in fields(SettingOnTarget))
TIMES_KEYS = tuple(field.name for field in fields(Times))
ROUNDS, MOST_ROUNDS, LONGEST_MS = "rounds_ms", 10_000_000, 1e10
NUMBER = r"-?\d[\d.eE+-]*"
NUMBERS = re.compile(rf"\[\n\s+{NUMBER}(?:,\n\s+{NUMBER})*\n\s+\]")  # a text in JSON holds no line break
GAP = re.compile(r"\n\s+")


def record_text(record: Record) -> str:
    """The JSON of a report, each list of numbers on a line of its own."""
    return NUMBERS.sub(_one_line, json_text(record_json(record)))


def record_json(record: Record) -> dict[str, Any]:
    """What is not known has no key at all."""
    results = [_flat(result) for result in record.results]
    return {**_lean(record), "results": results, "schema": SCHEMA, "kind": KIND}


def read_record(path: Path) -> Record:
    """Read a report; one line says what is wrong with it."""
    return record_from(read_json(path), where=path)


def record_from(value: Mapping[str, Any], *, where: Path) -> Record:
    if value.get("kind") != KIND:
        raise TableError(where, "not a benchmark report", GIVE_REPORT, code="invalid-format")
    if value.get("schema") != SCHEMA:
        what = f"unsupported schema {value.get('schema')!r}, expected {SCHEMA}"
        raise TableError(where, what, MEASURE_AGAIN, code="unsupported-schema")
    try:
        record = _record(value)
        check_record(record)
    except ValueError as error:
        what = f"invalid benchmark report ({error})"
        raise TableError(where, what, MEASURE_AGAIN, code="invalid-format") from error
    return record


def _record(value: Mapping[str, Any]) -> Record:
    rest = {name: of for name, of in value.items() if name not in ("schema", "kind", "results")}
    listed = value.get("results")
    if not isinstance(listed, list):
        raise ValueError("results is not a list")
    results = tuple(_result(of, f"results[{at}]") for at, of in enumerate(listed))
    return replace(decode(Record, {**rest, "results": []}), results=results)


def _result(value: Any, at: str) -> Result:
    """Gather what stands flat: the place, and the times where there are any."""
    if not isinstance(value, dict):
        raise ValueError(f"{at} is not a JSON object")
    place = {name: of for name, of in value.items() if name in PLACE_KEYS}
    times = {name: of for name, of in value.items() if name in TIMES_KEYS}
    rest = {name: of for name, of in value.items() if name not in (*PLACE_KEYS, *TIMES_KEYS)}
    result = decode(Result, {**rest, "where": place}, at)
    return replace(result, times=_times(times, at)) if times else result


def _times(value: dict[str, Any], at: str) -> Times:
    """A minute of rounds is a longer list than any other."""
    rounds_ms = value.get(ROUNDS)
    times = decode(Times, {name: of for name, of in value.items() if name != ROUNDS}, at)
    if rounds_ms is None:
        return times
    if not isinstance(rounds_ms, list) or not 0 < len(rounds_ms) <= MOST_ROUNDS:
        raise ValueError(f"{at}.{ROUNDS} is not a list of 1 to {MOST_ROUNDS} numbers")
    if not all(type(of) in (int, float) and 0 <= of < LONGEST_MS for of in rounds_ms):
        raise ValueError(f"{at}.{ROUNDS} contains values that are not milliseconds")
    return replace(times, rounds_ms=tuple(map(float, rounds_ms)))


def _flat(result: Result) -> dict[str, Any]:
    lean = _lean(result)
    place, times = lean.pop("where"), lean.pop("times", {})
    return {**lean, **place, **times}


def _lean(value: Any) -> Any:
    if is_dataclass(value):
        known = ((field, getattr(value, field.name)) for field in fields(value))
        return {field.name: _lean(of) for field, of in known if of is not None or field.default is MISSING}
    if isinstance(value, tuple | list):
        return [_lean(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _lean(item) for name, item in value.items()}
    return value.value if isinstance(value, Enum) else value


def _one_line(numbers: re.Match[str]) -> str:
    return GAP.sub(" ", numbers[0]).replace("[ ", "[").replace(" ]", "]")
