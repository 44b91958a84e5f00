"""report.json: what stands in it, and what is refused when it is read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.replies import MOST_ANSWER_BYTES, MOST_ROUNDS
from benchmarks.report.build_record import MOST_REPORT_ROUNDS, build_record
from benchmarks.report.record_file import parse_record, record_json, record_text
from benchmarks.report.schema import Record
from benchmarks.statistics.outputs import collect_outputs
from benchmarks.worker import worker
from dermpack.errors import TableError
from dermpack.storage.codec import MAX_ITEMS
from dermpack.storage.files import MAX_JSON_BYTES
from tests.support.errors import raises_code
from tests.support.measured_examples import (
    LITERT_TWO,
    TRUTH,
    a_model,
    a_plan,
    counted,
    measured,
    profiled,
    refused,
    saying,
    summarized,
    timed,
)

ONE_LOST = (*TRUTH[:9], 1)
WHERE = Path("report.json")
Json = dict[str, Any]


@cache
def a_record() -> Record:
    host = measured(
        timed=(timed(), timed(setting=LITERT_TWO, around_ms=6), timed(model="int8", around_ms=5)),
        answered=(saying(TRUTH), saying(ONE_LOST, model="int8")),
        profiled=(profiled(),),
        refused=(refused(),),
        notes=("the processor was busy with something else",),
    )
    arm = measured(
        "qemu:cortex-a72",
        timed=(timed(),),  # whatever a target says: no time of an emulator is kept
        counted=(counted(), counted(model="int8", instructions=60_000_000)),
        answered=(saying(TRUTH), saying(ONE_LOST, model="int8")),
    )
    phone = measured("adb:0123", summarized=(summarized(),))
    return build_record([host, arm, phone], a_plan())


def as_json() -> Json:
    found: Json = json.loads(record_text(a_record()))
    return found


def result(model: str, target: str, threads: int = 1) -> Json:
    key = ("model", "target", "threads")
    return next(
        of for of in as_json()["results"] if tuple(of[name] for name in key) == (model, target, threads)
    )


def test_a_result_stands_flat_with_its_place_and_its_times() -> None:
    here = result("float32", "host")
    assert (here["runtime"], here["kernels"]) == ("ai-edge-litert", "xnnpack")
    assert (
        here["min_ms"]
        <= here["p5_ms"]
        <= here["median_ms"]
        <= here["p90_ms"]
        <= here["p99_ms"]
        <= here["max_ms"]
    )
    low, high = here["median_ci95_ms"]
    assert low <= here["median_ms"] <= high


def test_raw_rounds_are_kept_in_the_order_of_the_clock() -> None:
    given = timed().rounds_ms
    assert result("float32", "host")["rounds_ms"] == pytest.approx(given, abs=1e-4)


def test_an_emulated_result_has_instructions_and_no_time_at_all() -> None:
    here = result("int8", "qemu:cortex-a72")
    assert here["instructions_per_inference"] == 60_000_000
    assert [name for name in here if name.endswith("_ms")] == []
    assert "instructions_per_inference" not in result("int8", "host")


def test_what_a_tool_keeps_to_itself_has_no_key() -> None:
    here = result("float32", "adb:0123", threads=4)
    assert "rounds_ms" not in here and "p90_ms" not in here
    assert here["median_ms"] == pytest.approx(7.9)
    assert len(here["passes"]) == 3 and here["rounds"] == 300


def test_a_refused_model_has_a_reason() -> None:
    runtime = next(of for of in as_json()["results"] if "refused" in of)
    assert "builtin_code" in runtime["refused"] and "median_ms" not in runtime


def test_files_data_and_environment_are_named() -> None:
    found = as_json()
    assert [of["sha256"] for of in found["models"]] == [a_model(name).sha256 for name in ("float32", "int8")]
    assert (found["data"]["sha256"], found["data"]["n"], found["data"]["split"]) == ("d" * 64, 10, "test")
    assert found["targets"][0]["environment"]["processor"] == "Example CPU @ 2.0 GHz"


def test_groups_are_numbers_not_names() -> None:
    assert as_json()["data"]["group"] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert "lesion" not in record_text(a_record())


def test_duplicates_without_groups_are_one_group() -> None:
    scored = a_plan().scored
    assert scored is not None
    clusters = ("", "twins", "", "twins", *[""] * 6)
    pictures = tuple(
        replace(picture, group="", cluster=cluster)
        for picture, cluster in zip(scored.pictures, clusters, strict=True)
    )
    plan = replace(a_plan(), scored=replace(scored, pictures=pictures))
    measurements = [measured(timed=(timed(),), answered=(saying(TRUTH),))]
    data = record_json(build_record(measurements, plan))["data"]
    assert (data["group"], data["groups"]) == ([0, 1, 2, 1, 3, 4, 5, 6, 7, 8], 9)
    (outputs,) = collect_outputs(measurements, plan)
    assert outputs.predictions is not None
    assert outputs.predictions.groups.count(pictures[1].path) == 2


def test_without_pictures_there_are_times_alone() -> None:
    found = record_json(build_record([measured(timed=(timed(),))], BenchmarkPlan(models=[a_model()])))
    assert found["data"] is None and found["answers"] == []


def test_the_same_measurements_make_the_same_bytes() -> None:
    again = build_record([measured(timed=(timed(),), answered=(saying(TRUTH),))], a_plan())
    once = build_record([measured(timed=(timed(),), answered=(saying(TRUTH),))], a_plan())
    assert record_text(again) == record_text(once)


def test_keys_are_sorted_and_numbers_take_one_line() -> None:
    text = record_text(a_record())
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert text.count("\n") < 900 and '"truth": [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]' in text


def test_a_report_is_read_back_as_it_was_written() -> None:
    record = a_record()
    assert record_text(parse_record(json.loads(record_text(record)), where=WHERE)) == record_text(record)


def test_the_longest_rounds_are_left_out_of_a_report_that_would_be_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = timed(model="int8")
    monkeypatch.setattr("benchmarks.report.build_record.MOST_REPORT_ROUNDS", len(short.rounds_ms) * 2)
    long = replace(timed(), rounds_ms=timed().rounds_ms * 2)
    record = build_record([measured(timed=(long, short))], a_plan())
    first, second = (result.times for result in record.results)
    assert first is not None and first.rounds_ms is None and first.median_ms and first.p90_ms
    assert second is not None and second.rounds_ms and len(second.rounds_ms) == second.rounds
    assert record.paces  # still compared by their rounds
    assert record_text(parse_record(json.loads(record_text(record)), where=WHERE)) == record_text(record)


def test_no_model_has_more_rounds_than_a_report_can_contain() -> None:
    """The longest round takes 13 characters, and the rest of a report a few hundred kB."""
    assert worker.MOST_ROUNDS <= MOST_ROUNDS == MAX_ITEMS
    assert 13 * MOST_REPORT_ROUNDS < MAX_JSON_BYTES - (8 << 20)
    assert 16 * worker.MOST_JOB_ROUNDS <= MOST_ANSWER_BYTES


def spoil(path: str, value: object) -> Callable[[Json], None]:
    """Set "results.0.min_ms" to something else."""

    def change(found: Json) -> None:
        *parents, last = path.split(".")
        at: Any = found
        for name in parents:
            at = at[int(name) if isinstance(at, list) else name]
        at[int(last) if isinstance(at, list) else last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "code", "value_in_message"),
    [
        ("kind", "evaluation", "invalid-format", "report.json"),
        ("schema", 2, "unsupported-schema", 2),
        ("results", {}, "invalid-format", "results"),
        ("results.0", 7, "invalid-format", "results[0]"),
        ("results.0.median_ms", 1e9, "invalid-format", "results[0].median_ms"),
        ("results.0.rounds_ms", [1.0, "2"], "invalid-format", "results[0].rounds_ms"),
        ("results.0.rounds_ms", [-1.0], "invalid-format", "results[0].rounds_ms"),
        ("results.0.rounds_ms", [], "invalid-format", "results[0].rounds_ms"),
        ("results.0.min_ms", float("nan"), "invalid-format", "results[0].min_ms"),
        ("results.0.model", "other", "invalid-format", "'other'"),
        ("results.0.target", "qemu:cortex-a72", "invalid-format", "results[0]"),
        ("results.0.target", "moon", "invalid-format", "'moon'"),
        ("results.0.kernels", "magic", "invalid-format", "results[0].where.kernels"),
        ("results.0.threads", 10**6, "invalid-format", 1024),
        ("results.0.strange", 1, "invalid-format", "strange"),
        ("results.0.drift.change", -1.0, "invalid-format", "results[0].drift.change"),
        ("models.0.sha256", "abc", "invalid-format", "'abc'"),
        ("models.0.name", "int8", "invalid-format", "models"),
        ("data.truth.0", 99, "invalid-format", "data.truth"),
        ("data.pictures", [], "invalid-format", "data.pictures"),
        ("answers.0.predicted.0", -1, "invalid-format", "predicted"),
        ("answers.0.accuracy.value", 3.0, "invalid-format", "accuracy"),
        ("drops.0.top1_agreement", 7, "invalid-format", 7),
        ("agreements.0.differing", 10**9, "invalid-format", 10**9),
        ("targets.0.environment", [], "invalid-format", "targets[0].environment"),
        ("timing.rounds", "many", "invalid-format", "timing.rounds"),
    ],
)
def test_what_is_no_sound_report_is_refused_in_one_line(
    path: str, value: object, code: str, value_in_message: object
) -> None:
    found = as_json()
    spoil(path, value)(found)
    with raises_code(code, WHERE, value_in_message) as caught:
        parse_record(found, where=WHERE)
    assert isinstance(caught.value, TableError) and "\n" not in str(caught.value)


def test_a_report_without_a_key_names_it() -> None:
    found = as_json()
    del found["timing"]
    with raises_code("invalid-format", WHERE, "timing"):
        parse_record(found, where=WHERE)
