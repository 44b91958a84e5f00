"""What must be true of a report that came from elsewhere; a ValueError begins with the place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from math import isclose
from statistics import median

from benchmarks.report.schema import Record, Result, ScoredAnswer, ScoredData, SettingOnTarget, Times
from dermpack.contract.value_checks import check, check_labels, check_sha256, check_share

MOST_THREADS = 1024
MOST_MODELS, MOST_TARGETS = 100, 100
TOLD_APART = 1e-3  # of a median: rounds are kept to the tenth of a microsecond


def check_record(record: Record) -> None:
    """Names fit together, figures lie where they can, and an emulator tells no time."""
    _check_names(record)
    for model in record.models:
        check_sha256(f"sha256 of {model.name}", model.sha256)
        check(model.size_bytes > 0, "size_bytes", model.size_bytes, "greater than 0")
    if record.data is not None:
        _check_data(record.data)
    for at, result in enumerate(record.results):
        _check_result(result, f"results[{at}]", is_emulated=_is_emulated(record, result))
    for answer in record.answers:
        _check_answer(answer, record.data)
    for drop in record.drops:
        for share in (drop.mcnemar_p, drop.top1_agreement, drop.accuracy.here, drop.balanced_accuracy.here):
            check_share(f"a figure of {drop.model}", share)
    for agreement in record.agreements:
        of = f"in an agreement of {agreement.model}"
        differing, other_labels = agreement.differing, agreement.other_labels
        check(0 <= differing <= agreement.outputs, f"differing {of}", differing, f"0 to {agreement.outputs}")
        check(0 <= other_labels <= agreement.n, f"other_labels {of}", other_labels, f"0 to {agreement.n}")


def _check_names(record: Record) -> None:
    models, targets = [of.name for of in record.models], [of.target for of in record.targets]
    for name, known, most in (("models", models, MOST_MODELS), ("targets", targets, MOST_TARGETS)):
        well = 0 < len(known) <= most and len(set(known)) == len(known)
        given = f"{len(known)} names ({len(set(known))} different)"
        check(well, name, given, f"1 to {most} different names")
    for model in _models_named(record):
        check(model in models, "a model", model[:80], "one of the models")
    for where in _places_named(record):
        check(where.target in targets, "a target", where.target[:80], "one of the targets")
        check(0 < where.threads <= MOST_THREADS, "threads", where.threads, f"1 to {MOST_THREADS}")


def _models_named(record: Record) -> Iterator[str]:
    yield from (of.model for of in record.results)
    yield from (of.model for of in record.answers)
    yield from (name for of in record.drops for name in (of.model, of.first))
    yield from (of.model for of in record.agreements)


def _places_named(record: Record) -> Iterator[SettingOnTarget]:
    yield from (of.where for of in record.results)
    yield from (where for of in record.answers for where in of.where)
    yield from (where for of in record.drops for where in of.where)
    yield from (where for of in record.agreements for where in (of.first, *of.where))


def _check_data(data: ScoredData) -> None:
    check_sha256("data.sha256", data.sha256)
    check_labels("data.labels", data.labels)
    for name, listed in (("pictures", data.pictures), ("truth", data.truth), ("group", data.group)):
        wanted = f"{data.n} (data.n) and greater than 0"
        check(len(listed) == data.n > 0, f"the length of data.{name}", len(listed), wanted)
    _check_positions("data.truth", data.truth, len(data.labels))
    _check_positions("data.group", data.group, data.groups)


def _check_positions(name: str, positions: tuple[int, ...], many: int) -> None:
    outside = [at for at in positions if not 0 <= at < many]
    check(not outside, f"each of {name}", outside[:1], f"0 to {many - 1}")


def _check_result(result: Result, at: str, *, is_emulated: bool) -> None:
    if is_emulated and (result.times, result.steps) != (None, None):
        raise ValueError(f"{at} has times, which are not allowed for an emulated processor")
    if not is_emulated and result.instructions is not None:
        raise ValueError(f"{at} has instructions, which are allowed only for an emulated processor")
    for name, value in asdict(result.steps).items() if result.steps else ():
        check(value >= 0, f"{at}.steps.{name}", value, "0 or more")
    if result.times is not None:
        _check_times(result.times, at)
    for operator in result.operators or ():
        check_share(f"{at}.operators: share of {operator.name[:40]}", operator.share)


def _check_times(times: Times, at: str) -> None:
    told = (times.load_ms, times.first_ms, times.min_ms, times.max_ms, times.mean_ms, times.deviation_ms)
    check(
        min(told) >= 0 and times.min_ms <= times.max_ms,
        at,
        list(told),
        "times of 0 ms or more, with min_ms at most max_ms",
    )
    drift = times.drift
    check(drift is None or drift.change > -1, f"{at}.drift.change", drift and drift.change, "greater than -1")
    if times.rounds_ms is None:
        return
    check(
        len(times.rounds_ms) == times.rounds,
        f"{at}.rounds",
        times.rounds,
        f"{len(times.rounds_ms)}, the length of rounds_ms",
    )
    here = median(times.rounds_ms)
    says = times.median_ms is not None and isclose(here, times.median_ms, rel_tol=TOLD_APART, abs_tol=1e-3)
    check(says, f"{at}.median_ms", times.median_ms, f"{here:g}, the median of rounds_ms")


def _check_answer(answer: ScoredAnswer, data: ScoredData | None) -> None:
    check_sha256(f"an answer of {answer.model}", answer.outputs_sha256)
    if answer.predicted is None:
        return
    many, labels = (data.n, len(data.labels)) if data else (0, 0)
    check(len(answer.predicted) == many, "the length of predicted", len(answer.predicted), f"{many}")
    _check_positions("predicted", answer.predicted, labels)
    for figure in (answer.accuracy, answer.balanced_accuracy):
        if figure is not None and figure.value is not None:
            check_share("accuracy", figure.value)


def _is_emulated(record: Record, result: Result) -> bool:
    return any(of.is_emulated for of in record.targets if of.target == result.where.target)
