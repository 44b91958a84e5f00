"""The page, Markdown, tables and sentences that are rendered from a record."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.protocol.plan import BenchmarkPlan
from benchmarks.protocol.results import OperatorTime, StepMedians
from benchmarks.report.build_record import build_record
from benchmarks.report.plots import Point, pareto_front
from benchmarks.report.record_file import read_record
from benchmarks.report.schema import Record
from benchmarks.report.text import ms_text, notes, points_text, share_text, summary, warnings
from benchmarks.report.write_report import (
    MARKDOWN_FILE,
    PAGE_FILE,
    SHEET_FILE,
    benchmark_page,
    check_report_folder,
    render_files,
    render_markdown,
    terminal_tables,
    write_report,
)
from dermpack.inference.interpreter_host import Kernels
from tests.support.errors import raises_code
from tests.support.measured_examples import (
    LITERT,
    LITERT_TWO,
    RUNTIME,
    TRUTH,
    a_model,
    a_plan,
    answered,
    counted,
    measured,
    profiled,
    refused,
    saying,
    scored,
    summarized,
    timed,
)

ONE_LOST = (*TRUTH[:9], 1)
STEPS = StepMedians(
    model="float32",
    setting=LITERT,
    rounds=30,
    decode_ms=2.0,
    resize_ms=1.0,
    copy_ms=0.1,
    invoke_ms=10.0,
    whole_ms=13.2,
)
HOST = measured(
    timed=(
        timed(),
        timed(model="int8", around_ms=5.0, seed=1),
        timed(setting=LITERT_TWO, around_ms=6.0),
        timed(model="int8", setting=LITERT_TWO, around_ms=6.0, seed=1),
    ),
    answered=(saying(TRUTH), saying(ONE_LOST, model="int8")),
    profiled=(profiled(), profiled(model="int8")),
    refused=(refused(),),
    steps=(STEPS,),
    notes=("another program was busy",),
)
ARM = measured(
    "qemu:cortex-a72",
    counted=(counted(), counted(model="int8", instructions=60_000_000)),
    answered=(saying(TRUTH), saying(ONE_LOST, model="int8")),
)


@cache
def both() -> Record:
    return build_record([HOST, ARM], a_plan())


@cache
def the_page() -> str:
    return benchmark_page(both())


@cache
def emulated() -> Record:
    return build_record([ARM], a_plan())


def with_pictures(folder: Path) -> BenchmarkPlan:
    plan = BenchmarkPlan(models=[a_model(), a_model("int8")], scored=scored(folder=folder))
    for picture in scored().pictures:
        (folder / picture.path).parent.mkdir(exist_ok=True, parents=True)
        Image.new("RGB", (32, 32), "#c08060").save(folder / picture.path)
    return plan


def test_a_report_folder_contains_the_record_the_pages_and_the_sheet(tmp_path: Path) -> None:
    record = write_report([HOST, ARM], with_pictures(tmp_path / "data"), tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"report.json", PAGE_FILE, MARKDOWN_FILE, SHEET_FILE}
    assert read_record(tmp_path / "report" / "report.json") == record


def test_without_pictures_the_report_shows_none(tmp_path: Path) -> None:
    plan = with_pictures(tmp_path / "data")
    write_report([HOST], plan, tmp_path / "report", with_pictures=False)
    assert not (tmp_path / "report" / SHEET_FILE).exists()
    assert "image/jpeg" not in (tmp_path / "report" / PAGE_FILE).read_text(encoding="utf-8")


def test_pages_are_rendered_from_the_record_alone(tmp_path: Path) -> None:
    files = render_files(emulated())
    (tmp_path / "report.json").write_bytes(files["report.json"])
    assert render_files(read_record(tmp_path / "report.json")) == files


def test_an_existing_report_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    with raises_code("output-exists", tmp_path, "--overwrite"):
        check_report_folder(tmp_path, overwrite=False)
    check_report_folder(tmp_path, overwrite=True)


def test_the_page_is_self_contained() -> None:
    addresses = re.findall(r'(?:src|href)="([^"]{0,9})', the_page())
    assert addresses and all(of.startswith(("data:", "#")) for of in addresses)
    assert "<script" not in the_page()


def test_the_page_has_the_disclaimers() -> None:
    assert "not a medical device" in the_page()
    assert "A count is not a latency" in the_page()
    assert "A count is not a latency" not in benchmark_page(build_record([HOST], a_plan()))


@pytest.mark.parametrize(
    "fact",
    [
        *(
            "10 pictures of 5 groups",
            "the test split of demo",
            "Example CPU @ 2.0 GHz",
            "Debian GNU/Linux 12",
        ),
        *(
            "ai-edge-litert, default kernels, 2 threads",
            "Warm-up of 0.5 s (12 rounds)",
            "at least 50 rounds and 1 s",
        ),
        *("d" * 64, "CONV_2D, in XNNPACK", "builtin_code", "another program was busy", "nv/009.png"),
        *("file to label", "13.20", "seed 0", "Latency on host", "Instructions on qemu:cortex-a72"),
    ],
)
def test_the_page_contains_the_conditions_of_its_figures(fact: str) -> None:
    assert fact in the_page()


def test_an_emulated_report_has_no_milliseconds() -> None:
    shown = [
        benchmark_page(emulated()),
        render_markdown(emulated()),
        *(of.caption for of in terminal_tables(emulated())),
    ]
    assert not any(re.search(r"\d ms\b|\bms<|milliseconds", text) for text in shown)
    assert "60.0" in shown[0] and "60.0" in shown[1]


def test_names_are_escaped() -> None:
    evil = "<script>alert(1)</script>|x"
    plan = BenchmarkPlan(models=[a_model(evil)], scored=scored())
    record = build_record(
        [measured(timed=(timed(model=evil),), answered=(saying(TRUTH, model=evil),), notes=("a`b\nc",))], plan
    )
    assert "<script>alert" not in benchmark_page(record)
    assert (
        "<script>" not in render_markdown(record)
        and r"\|x" in render_markdown(record)
        and "b\nc" not in render_markdown(record)
    )


def test_the_summary_has_the_speed_up_with_its_interval() -> None:
    sentence = next(line for line in summary(both()) if line.startswith("On host, ai-edge-litert"))
    assert re.search(r"int8 5\.\d\d ms, [12]\.\d\d times as fast \([12]\.\d\d to [12]\.\d\d\)", sentence)


def test_the_summary_has_the_accuracy_drop_and_its_pictures() -> None:
    sentence = next(line for line in summary(both()) if line.startswith("int8 loses"))
    assert "8.3 points of balanced accuracy against float32" in sentence
    assert "10 pictures of the test split" in sentence and "not significant" in sentence
    assert "1 of 10 (10.0 %) get another label, 1 of them lost and 0 won" in sentence


@pytest.mark.parametrize(
    ("elsewhere", "end"),
    [
        (-1 / 12, "The difference is the same in all other places."),
        (0.0, "In the other places the difference is 0.0 points."),
    ],
)
def test_the_summary_has_the_drop_in_other_places(elsewhere: float, end: str) -> None:
    (drop,) = both().drops[:1]
    there = replace(drop, balanced_accuracy=replace(drop.balanced_accuracy, difference=elsewhere))
    assert any(line.endswith(end) for line in summary(replace(both(), drops=(drop, there))))


def test_the_summary_has_the_agreement_of_other_targets() -> None:
    sentence = next(line for line in summary(both()) if line.startswith("On qemu:cortex-a72 against host"))
    assert "int8 differs in 0 of 30 outputs and in 0 of 10 labels" in sentence


def test_equal_models_show_no_difference_in_time() -> None:
    host = measured(timed=(timed(rounds=200), timed(model="int8", rounds=200, seed=5)))
    assert "no significant difference" in summary(build_record([host], a_plan()))[0]


def test_drift_and_refusals_are_warnings() -> None:
    slowing = replace(timed(rounds=200), rounds_ms=tuple(10.0 + 0.02 * at for at in range(200)))
    host = measured(timed=(slowing,), refused=(refused(),), notes=("it was hot",))
    record = build_record([host], a_plan())
    assert notes(record) == ["host: it was hot"]
    assert any("throttled" in of for of in warnings(record))
    assert any(
        "int8 does not run on host with tflite-runtime, without XNNPACK, 1 thread" in of
        for of in warnings(record)
    )


def test_a_model_with_one_answer_for_all_is_no_better_than_guessing() -> None:
    record = build_record([measured(answered=(saying([2] * 10),))], a_plan())
    assert warnings(record) == ["float32 is no better than guessing: every answer is nv"]


def test_targets_with_the_same_note_share_it() -> None:
    places = [measured(of, counted=(counted(),), notes=("never times",)) for of in ("qemu:a", "qemu:b")]
    assert notes(build_record(places, a_plan())) == ["qemu:a and qemu:b: never times"]


def test_many_unsteady_times_are_one_warning() -> None:
    slowing = tuple(10.0 + 0.02 * at for at in range(200))
    both = [replace(timed(model=name, rounds=200), rounds_ms=slowing) for name in ("float32", "int8")]
    record = build_record([measured(timed=tuple(both))], a_plan())
    (sentence,) = warnings(record)
    title = "2 of 2 medians come from unsteady rounds"
    assert sentence.startswith(f"host: {title}; the worst: float32 with ai-edge-litert")
    assert re.search(rf"<summary>{title}: details</summary>.*int8.*</details>", benchmark_page(record), re.S)


def test_operators_of_one_kind_are_one_row_whatever_their_layouts() -> None:
    kind = OperatorTime(name="Convolution (NHWC, F32) DWConv", count=17, share=0.4, is_delegated=True)
    other = replace(kind, name="Convolution (NHWC, QC8) DWConv", count=3, share=0.2)
    host = measured(timed=(timed(),), profiled=(replace(profiled(), operators=(kind, other)),))
    shown = benchmark_page(build_record([host], a_plan()))
    assert "Convolution DWConv, in XNNPACK" in shown and "60.0 % (20)" in shown


def test_a_model_without_labels_is_timed_and_not_scored() -> None:
    plan = BenchmarkPlan(models=[a_model(labels=None)], scored=scored())
    record = build_record([measured(timed=(timed(),), answered=(saying(TRUTH),))], plan)
    assert any("not scored: " in of and "labels" in of for of in warnings(record))
    assert "Latency on host" in benchmark_page(record)


def test_a_report_without_pictures_has_a_page() -> None:
    shown = benchmark_page(build_record([measured(timed=(timed(),))], BenchmarkPlan(models=[a_model()])))
    assert "no picture was scored" in shown and "Accuracy" not in shown


def test_times_without_raw_rounds_are_explained() -> None:
    shown = benchmark_page(build_record([measured("adb:0123", summarized=(summarized(),))], a_plan()))
    assert "does not report its rounds" in shown and "7.90" in shown
    assert "the median of the medians of 3 processes, 300 rounds in all" in shown
    assert "3 processes for each model and setting" in shown


def test_every_table_names_the_models_that_xnnpack_does_not_run() -> None:
    setting = replace(RUNTIME, kernels=Kernels.XNNPACK)
    slow = replace(timed(model="int8", setting=setting), delegated="none")
    arm = replace(counted(model="int8", setting=setting), delegated="none")
    places = [
        measured(timed=(timed(setting=setting), slow)),
        measured("qemu:cortex-a72", counted=(counted(setting=setting), arm)),
    ]
    record = build_record(places, a_plan())
    sentence = "XNNPACK runs no part of int8 with tflite-runtime"
    assert [sentence in table.caption for table in terminal_tables(record)] == [True, True]
    assert benchmark_page(record).count(sentence) >= 2


def test_missing_steps_are_explained() -> None:
    assert "measured on host, and with --data" in benchmark_page(
        build_record([measured(timed=(timed(),))], a_plan())
    )
    assert "measured on host, and with --data" not in the_page()


def test_nothing_but_refusals_is_still_a_report() -> None:
    record = build_record([measured(refused=(refused(),))], a_plan())
    assert "builtin_code" in benchmark_page(record) and "builtin" in render_markdown(record)


def test_broken_outputs_do_not_break_the_page() -> None:
    spoilt = answered(saying(TRUTH).outputs.astype("float32") * float("nan"), scale=0.0)
    places = [measured(of, answered=(spoilt,), counted=()) for of in ("host", "qemu:cortex-a72")]
    record = build_record([replace(of, timed=()) for of in places], a_plan())
    assert "bcc/000.png" in benchmark_page(record)


def test_a_pull_request_gets_one_table_and_few_lines() -> None:
    text = render_markdown(both())
    assert text.count("\n|---") == 1 and len(text.splitlines()) < 50
    assert "| int8 |" in text and "not a medical device" in text


def test_a_terminal_gets_a_row_a_setting_and_a_column_a_model() -> None:
    scores, host, arm = terminal_tables(both())
    assert scores.rows[1][0] == "int8" and "−8.3" in scores.rows[1][-1]
    assert host.header == ("setting", "float32", "int8")
    assert [row[0] for row in host.rows] == [str(LITERT), str(LITERT_TWO)]
    assert "instructions" in arm.caption and arm.rows[0][1:] == ("120.0", "60.0 (0.50)")


def test_the_cell_of_a_refused_model_is_refused() -> None:
    host = measured(timed=(timed(setting=RUNTIME),), refused=(refused(),))
    (table,) = (
        of for of in terminal_tables(build_record([host], BenchmarkPlan(models=[a_model(), a_model("int8")])))
    )
    assert table.rows[0][2] == "refused"


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        *(
            (ms_text(0.1234), "0.123"),
            (ms_text(12.345), "12.35"),
            (ms_text(1234.5), "1,234"),
            (ms_text(None), "–"),
        ),
        *(
            (points_text(-0.0071), "−0.7"),
            (points_text(0.0), "0.0"),
            (points_text(0.0004), "0.0"),
            (points_text(0.012), "+1.2"),
        ),
        *((share_text(0, 30), "0 of 30"), (share_text(3, 30, "labels"), "3 of 30 labels (10.0 %)")),
    ],
)
def test_figures_are_formatted(shown: str, text: str) -> None:
    assert shown == text


def test_the_pareto_front_contains_what_nothing_beats_in_both() -> None:
    costs = {
        "slow": (9.0, 0.8),
        "fast": (1.0, 0.7),
        "bad": (5.0, 0.6),
        "same": (9.0, 0.8),
        "middle": (4.0, 0.75),
    }
    points_given = [
        Point(name=name, model="m", cost=cost, score=score, ci95=None)
        for name, (cost, score) in costs.items()
    ]
    assert [of.name for of in pareto_front(points_given)] == ["fast", "middle", "slow"]
