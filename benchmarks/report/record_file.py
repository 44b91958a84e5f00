"""Write report.json, and read it back with every value checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass, replace
from enum import Enum
from math import isclose
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report.schema import (
    KIND,
    SCHEMA,
    Record,
    Result,
    ScoredAnswer,
    ScoredData,
    SettingOnTarget,
    Times,
)
from dermpack.contract import check_labels
from dermpack.errors import TableError
from dermpack.storage.codec import check, check_sha256, check_share, decode
from dermpack.storage.files import format_json, read_json

RECORD_FILE = "report.json"
GIVE_REPORT = 'Give the report.json of "dermpack benchmark".'
MEASURE_AGAIN = 'Measure again with "dermpack benchmark".'
PLACE_KEYS = tuple(field.name for field in fields(SettingOnTarget))
TIMES_KEYS = tuple(field.name for field in fields(Times))
ROUNDS, MOST_ROUNDS, LONGEST_MS = "rounds_ms", 10_000_000, 1e10
MOST_THREADS = 1024
MOST_MODELS, MOST_TARGETS = 100, 100
MEDIAN_TOLERANCE = 1e-3  # of a median: rounds are stored to a tenth of a microsecond
NUMBER = r"-?\d[\d.eE+-]*"
NUMBERS = re.compile(rf"\[\n\s+{NUMBER}(?:,\n\s+{NUMBER})*\n\s+\]")  # strings in JSON have no line breaks
GAP = re.compile(r"\n\s+")


def record_text(record: Record) -> str:
    """Return the JSON of a report, each list of numbers on a line of its own."""

    def join(numbers: re.Match[str]) -> str:
        return GAP.sub(" ", numbers[0]).replace("[ ", "[").replace(" ]", "]")

    return NUMBERS.sub(join, format_json(record_json(record)))


def record_json(record: Record) -> dict[str, Any]:
    """Return the JSON value of a report; unknown values have no key."""
    results = []
    for result in record.results:
        values = _to_json(result)
        place, times = values.pop("where"), values.pop("times", {})
        results.append({**values, **place, **times})
    return {**_to_json(record), "results": results, "schema": SCHEMA, "kind": KIND}


def read_record(path: Path) -> Record:
    """Read and check a report."""
    return parse_record(read_json(path), where=path)


def parse_record(value: Mapping[str, Any], *, where: Path) -> Record:
    """Check the JSON value of a report and return the report; `where` is named in errors."""
    # The kind first: an evaluation has a report.json too, with another schema.
    if value.get("kind") != KIND:
        raise TableError(where, "not a benchmark report", GIVE_REPORT, code="invalid-format")
    if value.get("schema") != SCHEMA:
        what = f"unsupported schema {value.get('schema')!r}, expected {SCHEMA}"
        raise TableError(where, what, MEASURE_AGAIN, code="unsupported-schema")
    try:
        rest = {name: part for name, part in value.items() if name not in ("schema", "kind", "results")}
        results = value.get("results")
        if not isinstance(results, list):
            raise ValueError("results is not a list")
        parsed = tuple(_parse_result(part, f"results[{index}]") for index, part in enumerate(results))
        record = replace(decode(Record, {**rest, "results": []}), results=parsed)
        _check_record(record)
    except ValueError as error:
        what = f"invalid benchmark report ({error})"
        raise TableError(where, what, MEASURE_AGAIN, code="invalid-format") from error
    return record


def _to_json(value: Any) -> Any:
    """Return the JSON form without the optional fields that are None."""
    if is_dataclass(value):
        parts = ((field, getattr(value, field.name)) for field in fields(value))
        return {
            field.name: _to_json(part)
            for field, part in parts
            if part is not None or field.default is MISSING
        }
    if isinstance(value, tuple | list):
        return [_to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _to_json(item) for name, item in value.items()}
    return value.value if isinstance(value, Enum) else value


def _parse_result(value: Any, where: str) -> Result:
    """Separate the place and the times, which are merged into the keys of a result."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not a JSON object")
    place = {name: part for name, part in value.items() if name in PLACE_KEYS}
    times = {name: part for name, part in value.items() if name in TIMES_KEYS}
    rest = {name: part for name, part in value.items() if name not in (*PLACE_KEYS, *TIMES_KEYS)}
    result = decode(Result, {**rest, "where": place}, where)
    if not times:
        return result
    # The codec limits the length of lists, and one minute of rounds is longer than any other list.
    rounds_ms = times.pop(ROUNDS, None)
    parsed = decode(Times, times, where)
    if rounds_ms is not None:
        if not isinstance(rounds_ms, list) or not 0 < len(rounds_ms) <= MOST_ROUNDS:
            raise ValueError(f"{where}.{ROUNDS} is not a list of 1 to {MOST_ROUNDS} numbers")
        if not all(type(round_ms) in (int, float) and 0 <= round_ms < LONGEST_MS for round_ms in rounds_ms):
            raise ValueError(f"{where}.{ROUNDS} contains values that are not milliseconds")
        parsed = replace(parsed, rounds_ms=tuple(map(float, rounds_ms)))
    return replace(result, times=parsed)


def _check_record(record: Record) -> None:
    """Check names, ranges and lengths; raise ValueError beginning with the place."""
    # Names first: the other checks look targets up.
    _check_names(record)
    for model in record.models:
        check_sha256(f"sha256 of {model.name}", model.sha256)
        check(model.size_bytes > 0, "size_bytes", model.size_bytes, "greater than 0")
    if record.data is not None:
        _check_data(record.data)
    emulated = {place.target for place in record.targets if place.is_emulated}
    for index, result in enumerate(record.results):
        _check_result(result, f"results[{index}]", is_emulated=result.where.target in emulated)
    for answer in record.answers:
        _check_answer(answer, record.data)
    for drop in record.drops:
        for share in (drop.mcnemar_p, drop.top1_agreement, drop.accuracy.here, drop.balanced_accuracy.here):
            check_share(f"a figure of {drop.model}", share)
    for agreement in record.agreements:
        where = f"in an agreement of {agreement.model}"
        counts = {"differing": agreement.outputs, "other_labels": agreement.n}
        for name, most in counts.items():
            count = getattr(agreement, name)
            check(0 <= count <= most, f"{name} {where}", count, f"0 to {most}")


def _check_names(record: Record) -> None:
    models, targets = [model.name for model in record.models], [place.target for place in record.targets]
    for name, known, most in (("models", models, MOST_MODELS), ("targets", targets, MOST_TARGETS)):
        is_valid = 0 < len(known) <= most and len(set(known)) == len(known)
        given = f"{len(known)} names ({len(set(known))} different)"
        check(is_valid, name, given, f"1 to {most} different names")
    for model, places in _references(record):
        check(model in models, "a model", model[:80], "one of the models")
        for place in places:
            check(place.target in targets, "a target", place.target[:80], "one of the targets")
            check(0 < place.threads <= MOST_THREADS, "threads", place.threads, f"1 to {MOST_THREADS}")


def _references(record: Record) -> Iterator[tuple[str, tuple[SettingOnTarget, ...]]]:
    """Yield every name of a model outside of the list of models, with the places next to it."""
    for result in record.results:
        yield result.model, (result.where,)
    for answer in record.answers:
        yield answer.model, answer.where
    for drop in record.drops:
        yield drop.model, drop.where
        yield drop.first, ()
    for agreement in record.agreements:
        yield agreement.model, (agreement.first, *agreement.where)


def _check_data(data: ScoredData) -> None:
    check_sha256("data.sha256", data.sha256)
    check_labels("data.labels", data.labels)
    for name, values in (("pictures", data.pictures), ("truth", data.truth), ("group", data.group)):
        wanted = f"{data.n} (data.n) and greater than 0"
        check(len(values) == data.n > 0, f"the length of data.{name}", len(values), wanted)
    _check_indices("data.truth", data.truth, len(data.labels))
    _check_indices("data.group", data.group, data.groups)


def _check_indices(name: str, indices: tuple[int, ...], count: int) -> None:
    outside = [index for index in indices if not 0 <= index < count]
    check(not outside, f"each of {name}", outside[:1], f"0 to {count - 1}")


def _check_result(result: Result, where: str, *, is_emulated: bool) -> None:
    if is_emulated and (result.times, result.steps) != (None, None):
        raise ValueError(f"{where} has times, which are not allowed for an emulated processor")
    if not is_emulated and result.instructions is not None:
        raise ValueError(f"{where} has instructions, which are allowed only for an emulated processor")
    for name, value in asdict(result.steps).items() if result.steps else ():
        check(value >= 0, f"{where}.steps.{name}", value, "0 or more")
    if result.times is not None:
        _check_times(result.times, where)
    for operator in result.operators or ():
        check_share(f"{where}.operators: share of {operator.name[:40]}", operator.share)


def _check_times(times: Times, where: str) -> None:
    values = [times.load_ms, times.first_ms, times.min_ms, times.max_ms, times.mean_ms, times.deviation_ms]
    is_valid = min(values) >= 0 and times.min_ms <= times.max_ms
    check(is_valid, where, values, "times of 0 ms or more, with min_ms at most max_ms")
    if times.drift is not None:
        change = times.drift.change
        check(change > -1, f"{where}.drift.change", change, "greater than -1")
    if times.rounds_ms is None:
        return
    count = len(times.rounds_ms)
    check(count == times.rounds, f"{where}.rounds", times.rounds, f"{count}, the length of rounds_ms")
    middle, given = median(times.rounds_ms), times.median_ms
    is_equal = given is not None and isclose(middle, given, rel_tol=MEDIAN_TOLERANCE, abs_tol=1e-3)
    check(is_equal, f"{where}.median_ms", given, f"{middle:g}, the median of rounds_ms")


def _check_answer(answer: ScoredAnswer, data: ScoredData | None) -> None:
    check_sha256(f"an answer of {answer.model}", answer.outputs_sha256)
    if answer.predicted is None:
        return
    pictures, labels = (data.n, len(data.labels)) if data else (0, 0)
    count = len(answer.predicted)
    check(count == pictures, "the length of predicted", count, f"{pictures}")
    _check_indices("predicted", answer.predicted, labels)
    for figure in (answer.accuracy, answer.balanced_accuracy):
        if figure is not None and figure.value is not None:
            check_share("accuracy", figure.value)
