"""What is asked of benchmark_model, and what is read of it."""

from __future__ import annotations

import pytest

from benchmarks.protocol.plan import Setting, Timing
from benchmarks.protocol.results import ToolPass
from benchmarks.targets.adb.adb_target import (
    profile_arguments,
    read_error,
    read_profile,
    read_timing,
    timing_arguments,
)
from dermpack.inference.interpreter_host import Kernels
from tests.support.paths import REPOSITORY

# In the format of the tool; the figures are invented.
OUTPUTS = REPOSITORY / "tests/support/adb_stand_in_programs"
NEW, OLD, PROFILE, NOT_A_MODEL = (
    (OUTPUTS / name).read_text(encoding="utf-8")
    for name in ("new.txt", "old.txt", "profile.txt", "refused.txt")
)
XNNPACK = Setting(runtime="benchmark_model", kernels=Kernels.XNNPACK, threads=2)
BUILTIN = Setting(runtime="benchmark_model", kernels=Kernels.BUILTIN, threads=1)


def test_the_settings_stand_on_the_command_line() -> None:
    timing = Timing(warm_up_seconds=0.25, rounds=1024, seconds=60.0, most_seconds=600.0)
    requests = timing_arguments("/d/m.tflite", setting=XNNPACK, timing=timing)
    assert requests[:3] == ("--graph=/d/m.tflite", "--num_threads=2", "--use_xnnpack=true")
    assert requests[3:5] == ("--warmup_runs=1", "--warmup_min_secs=0.25")
    assert requests[5:] == ("--num_runs=1024", "--min_secs=60", "--max_secs=600")


def test_own_kernels_are_asked_for_aloud() -> None:
    assert "--use_xnnpack=false" in timing_arguments("m", setting=BUILTIN, timing=Timing())


def test_operators_are_looked_at_in_a_process_of_their_own() -> None:
    assert "--enable_op_profiling=true" in profile_arguments("m", setting=BUILTIN)
    assert "--enable_op_profiling=true" not in timing_arguments("m", setting=BUILTIN, timing=Timing())


def test_a_new_build_prints_percentiles() -> None:
    result = read_timing(NEW, kernels=Kernels.XNNPACK)
    assert result is not None
    assert result[0] == ToolPass(
        load_ms=14.25,
        first_ms=14.744,
        warm_up_rounds=41,
        rounds=84,
        mean_ms=12.0202,
        deviation_ms=0.47,
        min_ms=11.805,
        max_ms=15.765,
        p5_ms=11.85,
        median_ms=11.96,
        p95_ms=12.5,
        footprint_bytes=8_650_752,
    )
    assert result[1] == "64 of 66 operators"


def test_an_old_build_prints_no_median_and_none_is_invented() -> None:
    result = read_timing(OLD, kernels=Kernels.BUILTIN)
    assert result is not None
    figures, _ = result
    assert (figures.p5_ms, figures.median_ms, figures.p95_ms) == (None, None, None)
    assert (figures.mean_ms, figures.first_ms, figures.warm_up_rounds) == (2305.2, 2305.463, 1)
    assert result[1] == "none"


def test_rounds_that_all_took_the_same_are_read() -> None:
    text = NEW.replace(NEW.splitlines()[-5], "INFO: count=50 curr=900(all same) p5=900 median=900 p95=900")
    result = read_timing(text, kernels=Kernels.XNNPACK)
    assert result is not None
    figures, _ = result
    assert (figures.rounds, figures.mean_ms, figures.min_ms, figures.max_ms) == (50, 0.9, 0.9, 0.9)
    assert figures.deviation_ms == 0.0


@pytest.mark.parametrize(
    ("line", "delegated"),
    [
        (
            "Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the",
            "all",
        ),
        (
            "Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the",
            "some",
        ),
        ("Though XNNPACK delegate is explicitly applied, the model graph will not be executed by", "none"),
        (
            "INFO: Replacing 66 out of 66 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1",
            "all",
        ),
        ("", ""),
    ],
)
def test_the_delegated_operators_are_those_that_the_build_prints(line: str, delegated: str) -> None:
    result = read_timing(f"{line}\n{OLD}", kernels=Kernels.XNNPACK)
    assert result is not None
    assert result[1] == delegated


@pytest.mark.parametrize(
    "text",
    [
        "",
        NOT_A_MODEL,
        NEW[: NEW.index("INFO: count=84")],
        NEW[: NEW.index("INFO: Inference timings")],
        NEW.replace("min=11805", ""),
        NEW.replace("avg=12020.2", "avg=1e999"),
        NEW.replace("avg=12020.2", "avg=-nan"),
        NEW.replace("avg=12020.2", "avg=1.2.3"),
        NEW + NEW,
    ],
)
def test_output_that_lacks_its_figures_is_not_read(text: str) -> None:
    assert read_timing(text, kernels=Kernels.XNNPACK) is None


def test_the_operators_of_the_runs_are_read_and_not_those_of_the_start() -> None:
    operators = read_profile(NEW + PROFILE)
    assert [(item.name, item.count, item.is_delegated) for item in operators] == [
        ("TfLiteXNNPackDelegate", 1, True),
        ("SOFTMAX", 1, False),
    ]
    assert [item.share for item in operators] == pytest.approx([0.98475, 0.01525])


def test_no_table_is_no_operators() -> None:
    assert read_profile(NEW) == ()


def test_the_read_error_is_the_first_error() -> None:
    assert read_error(NOT_A_MODEL) == "The model is not a valid Flatbuffer buffer"
    assert read_error("/data/local/tmp/x: not executable: 64-bit ELF file\n\n") == (
        "/data/local/tmp/x: not executable: 64-bit ELF file"
    )
    assert read_error("") == "no message"
