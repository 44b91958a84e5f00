"""Write report.json, and read it back with every value checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass, replace
from math import isclose
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.protocol.replies import LONGEST_MS, MOST_ROUNDS
from benchmarks.report.schema import KIND, SCHEMA, Record, Result, ScoredAnswer, ScoredData, SettingOnTarget
from benchmarks.statistics.latency import Times
from dermpack.contract import check_labels
from dermpack.errors import TableError
from dermpack.storage.codec import check, check_sha256, check_share, decode, encode
from dermpack.storage.files import format_json, read_json

RECORD_FILE = "report.json"
GIVE_REPORT = 'Give the report.json of "dermpack benchmark".'
MEASURE_AGAIN = 'Measure again with "dermpack benchmark".'
PLACE_KEYS = tuple(field.name for field in fields(SettingOnTarget))
TIMES_KEYS = tuple(field.name for field in fields(Times))
ROUNDS = "rounds_ms"
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
    values = _to_json(record)
    for result in values["results"]:
        result.update({**result.pop("where"), **result.pop("times", {})})
    return {**values, "schema": SCHEMA, "kind": KIND}


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
    return [_to_json(item) for item in value] if isinstance(value, tuple) else encode(value)


def _parse_result(value: Any, where: str) -> Result:
    """Separate the place and the times, which are merged into the keys of a result."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not a JSON object")
    rest = dict(value)
    place = {name: rest.pop(name) for name in PLACE_KEYS if name in rest}
    times = {name: rest.pop(name) for name in TIMES_KEYS if name in rest}
    result = decode(Result, {**rest, "where": place}, where)
    if not times:
        return result
    # Each value of the longest lists is checked here, which is faster than the codec.
    rounds_ms = times.pop(ROUNDS, None)
    parsed = decode(Times, times, where)
    if rounds_ms is not None:
        if not isinstance(rounds_ms, list) or not 0 < len(rounds_ms) <= MOST_ROUNDS:
            raise ValueError(f"{where}.{ROUNDS} is not a list of 1 to {MOST_ROUNDS} numbers")
        if not all(type(round_ms) in (int, float) and 0 <= round_ms <= LONGEST_MS for round_ms in rounds_ms):
            raise ValueError(f"{where}.{ROUNDS} contains values that are not milliseconds")
        parsed = replace(parsed, rounds_ms=tuple(map(float, rounds_ms)))
    return replace(result, times=parsed)


def _check_record(record: Record) -> None:
    """Check names, ranges and lengths; raise ValueError beginning with the place."""
    # Names first: the other checks look targets up.
    models, targets = [model.name for model in record.models], [place.target for place in record.targets]
    for name, known, most in (("models", models, MOST_MODELS), ("targets", targets, MOST_TARGETS)):
        is_valid = 0 < len(known) <= most and len(set(known)) == len(known)
        given = f"{len(known)} names ({len(set(known))} different)"
        check(is_valid, name, given, f"1 to {most} different names")
    # Every name of a model outside of the list of models, with the places next to it.
    references: list[tuple[str, tuple[SettingOnTarget, ...]]] = [
        *((result.model, (result.where,)) for result in record.results),
        *((answer.model, answer.where) for answer in record.answers),
        *((drop.model, drop.where) for drop in record.drops),
        *((drop.first, ()) for drop in record.drops),
        *((agreement.model, (agreement.first, *agreement.where)) for agreement in record.agreements),
    ]
    for name, places in references:
        check(name in models, "a model", name[:80], "one of the models")
        for place in places:
            check(place.target in targets, "a target", place.target[:80], "one of the targets")
            check(0 < place.threads <= MOST_THREADS, "threads", place.threads, f"1 to {MOST_THREADS}")
    check(record.seed >= 0, "seed", record.seed, "0 or greater")
    for model in record.models:
        check_sha256(f"sha256 of {model.name}", model.sha256)
        check(model.size_bytes > 0, "size_bytes", model.size_bytes, "greater than 0")
    emulated = {place.target for place in record.targets if place.is_emulated}
    for index, result in enumerate(record.results):
        _check_result(result, f"results[{index}]", is_emulated=result.where.target in emulated)
    _check_scores(record.data, record.answers)
    for drop in record.drops:
        for share in (drop.mcnemar_p, drop.top1_agreement, drop.accuracy.here, drop.balanced_accuracy.here):
            check_share(f"a figure of {drop.model}", share)
    for agreement in record.agreements:
        where = f"in an agreement of {agreement.model}"
        for name, most in (("differing", agreement.outputs), ("other_labels", agreement.n)):
            count = getattr(agreement, name)
            check(0 <= count <= most, f"{name} {where}", count, f"0 to {most}")


def _check_result(result: Result, where: str, *, is_emulated: bool) -> None:
    if is_emulated and (result.times, result.steps) != (None, None):
        raise ValueError(f"{where} has times, which are not allowed for an emulated processor")
    if not is_emulated and result.instructions is not None:
        raise ValueError(f"{where} has instructions, which are allowed only for an emulated processor")
    for name, value in asdict(result.steps).items() if result.steps else ():
        check(value >= 0, f"{where}.steps.{name}", value, "0 or more")
    for operator in result.operators or ():
        check_share(f"{where}.operators: share of {operator.name[:40]}", operator.share)
    if (times := result.times) is None:
        return
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


def _check_scores(data: ScoredData | None, answers: Sequence[ScoredAnswer]) -> None:
    if data is not None:
        check_sha256("data.sha256", data.sha256)
        check_labels("data.labels", data.labels)
        for name, values in (("pictures", data.pictures), ("truth", data.truth), ("group", data.group)):
            wanted = f"{data.n} (data.n) and greater than 0"
            check(len(values) == data.n > 0, f"the length of data.{name}", len(values), wanted)
        _check_indices("data.truth", data.truth, len(data.labels))
        _check_indices("data.group", data.group, data.groups)
    pictures, labels = (data.n, len(data.labels)) if data else (0, 0)
    for answer in answers:
        check_sha256(f"an answer of {answer.model}", answer.outputs_sha256)
        if answer.predicted is None:
            continue
        count = len(answer.predicted)
        check(count == pictures, "the length of predicted", count, f"{pictures}")
        _check_indices("predicted", answer.predicted, labels)
        for figure in (answer.accuracy, answer.balanced_accuracy):
            if figure is not None and figure.value is not None:
                check_share("accuracy", figure.value)


def _check_indices(name: str, indices: tuple[int, ...], count: int) -> None:
    outside = [index for index in indices if not 0 <= index < count]
    check(not outside, f"each of {name}", outside[:1], f"0 to {count - 1}")
