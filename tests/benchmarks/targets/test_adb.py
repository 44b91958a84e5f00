"""A phone behind a stand-in adb: what is asked of it, what it tells, and what is left on it."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.protocol.plan import BenchmarkPlan, ModelUnderTest, TensorBinding, Timing
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.targets.adb.adb_target import AdbTarget, find_phones, read_error, read_profile, read_timing
from benchmarks.targets.adb.phone import PhoneLostError
from dermpack.errors import escape_unprintable
from dermpack.inference.interpreter_host import Kernels
from dermpack.inference.picture_feed import PictureFeed
from dermpack.progress import silent
from dermpack.storage.files import sha256_of
from tests.support.adb_stand_in import StandIn, standing_in
from tests.support.errors import raises_code
from tests.support.paths import REPOSITORY
from tests.support.ssh_workers import ends

QUICK = Timing(warm_up_seconds=0.0, rounds=1, seconds=0.0, most_seconds=1.0)


def a_model(name: str = "float32", *, pace: int = 1, identifier: bytes = b"TFL3") -> ModelUnderTest:
    data = bytes([pace, 0, 0, 0]) + identifier + bytes(16)
    table = np.arange(256, dtype=np.uint8)
    return ModelUnderTest(
        name=name,
        data=data,
        sha256=sha256_of(data),
        binding=TensorBinding(size=32, feed=PictureFeed(table=table)),
        recipe="",
        sidecar=None,
    )


def a_plan(
    *models: ModelUnderTest, threads: Sequence[int] = (1,), kernels: Sequence[Kernels] | None = None
) -> BenchmarkPlan:
    chosen = kernels if kernels is not None else (Kernels.XNNPACK,)
    return BenchmarkPlan(models=models or (a_model(),), threads=threads, kernels=chosen, timing=QUICK)


def measure(stand_in: StandIn, plan: BenchmarkPlan, *, serial: str = "R58M") -> TargetMeasurement:
    return AdbTarget(serial=serial, benchmark_model=stand_in.tool).measure(plan, track=silent)


def commands(stand_in: StandIn) -> list[str]:
    """Every command line of benchmark_model, in order."""
    lines = [" ".join(arguments) for arguments in stand_in.log()]
    found = (re.search(r"/benchmark_model (--graph=.*?)\n?\) 2>&1", line) for line in lines)
    return [match[1] for match in found if match]


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    with standing_in(tmp_path) as made:
        yield made


@dataclass(frozen=True)
class Ordinary:
    """An ordinary measurement: two models, both kernels, one thread, and another phone beside it."""

    stand_in: StandIn
    root: Path
    measured: TargetMeasurement


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ordinary]:
    with standing_in(tmp_path_factory.mktemp("ordinary")) as made:
        root = made.phone("R58M")
        made.phone("OTHER")
        kernels = (Kernels.XNNPACK, Kernels.BUILTIN)
        plan = a_plan(a_model("float32", pace=2), a_model("int8", pace=1), kernels=kernels)
        yield Ordinary(made, root, measure(made, plan))


def test_a_phone_times_every_model_under_every_setting(ordinary: Ordinary) -> None:
    measured = ordinary.measured
    assert measured.target == "adb:R58M"
    assert not measured.is_emulated and not measured.timed and not measured.refused
    result = {(item.model, item.setting.kernels): item for item in measured.summarized}
    assert len(result) == 4
    assert {len(item.passes) for item in result.values()} == {3}
    assert [result[name, Kernels.BUILTIN].passes[2].median_ms for name in ("float32", "int8")] == [
        23.92,
        11.96,
    ]
    assert [result["int8", kernels].delegated for kernels in Kernels] == ["64 of 66 operators", "none"]


def test_models_take_turns(ordinary: Ordinary) -> None:
    requests = [line for line in commands(ordinary.stand_in) if "--use_xnnpack=true" in line]
    assert re.findall(r"model-(\d)\.tflite", "\n".join(requests)) == ["0", "1"] * 4
    assert ["--enable_op_profiling=true" in line for line in requests] == [False] * 6 + [True] * 2


def test_the_record_names_what_cannot_be_measured(ordinary: Ordinary) -> None:
    assert any("no 90th percentile" in note for note in ordinary.measured.notes)


def test_operators_are_reported(ordinary: Ordinary) -> None:
    profiled = ordinary.measured.profiled
    assert len(profiled) == 4
    assert [item.name for item in profiled[0].operators] == ["TfLiteXNNPackDelegate", "SOFTMAX"]


def test_the_phone_is_described(ordinary: Ordinary) -> None:
    environment = ordinary.measured.environment
    assert environment["device"] == "Example Phone 7"
    assert environment["soc"] == "Fictive F100"
    assert environment["os"] == "Android 14 (API 34)"
    assert environment["abis"] == "arm64-v8a,armeabi-v7a,armeabi"
    assert environment["features"] == "fp asimd asimddp"
    assert environment["cores"] == "8"
    assert environment["governor"] == "sched_pixel"
    assert environment["highest_mhz"] == "2850"
    assert environment["temperature_before"] == "CPU 43.2 °C, skin 33.1 °C"
    assert environment["throttling_after"] == "none"
    tool = ordinary.stand_in.tool.read_bytes()
    assert environment["benchmark_model"] == f"sha256 {sha256_of(tool)}"


def test_fixed_clocks_are_asked_for_and_given_back(ordinary: Ordinary) -> None:
    assert ordinary.measured.environment["fixed_performance_mode"] == "on"
    assert (ordinary.root / "asked").read_text().splitlines() == [
        "power set-fixed-performance-mode-enabled true",
        "power set-fixed-performance-mode-enabled false",
    ]


def test_nothing_stays_on_the_phone(ordinary: Ordinary) -> None:
    assert list((ordinary.root / "data/local/tmp").iterdir()) == []


def test_every_command_names_the_serial(ordinary: Ordinary) -> None:
    requests = {tuple(line[:2]) for line in ordinary.stand_in.log()}
    assert requests == {("devices", "-l"), ("-s", "R58M")}


def test_a_phone_without_fixed_clocks_is_measured(stand_in: StandIn) -> None:
    root = stand_in.phone("R58M")
    stand_in.program(root, "cmd", "echo Failed to set FIXED_PERFORMANCE mode >&2; exit 255")
    measured = measure(stand_in, a_plan())
    assert measured.environment["fixed_performance_mode"] == "not offered by this phone"
    assert measured.summarized


def test_throttling_is_said(stand_in: StandIn) -> None:
    root = stand_in.phone("R58M")
    stand_in.program(root, "dumpsys", "echo Thermal Status: 2")
    measured = measure(stand_in, a_plan())
    assert measured.environment["throttling_after"] == "moderate"
    assert any("throttled" in note for note in measured.notes)


def test_a_phone_without_getprop_and_dumpsys_is_measured(stand_in: StandIn) -> None:
    root = stand_in.phone("R58M")
    (root / "bin/getprop").unlink()
    (root / "bin/dumpsys").unlink()
    measured = measure(stand_in, a_plan())
    assert measured.environment["device"] == "Phone 7"  # of adb's own list
    assert "os" not in measured.environment and "temperature_before" not in measured.environment
    assert measured.summarized


def test_what_an_earlier_loss_left_is_removed_and_a_living_one_is_not(stand_in: StandIn) -> None:
    root = stand_in.phone("R58M")
    dead, living = root / "data/local/tmp/dermpack-dead", root / "data/local/tmp/dermpack-living"
    dead.mkdir()
    living.mkdir()
    yesterday = time.time() - 24 * 3600
    os.utime(dead, (yesterday, yesterday))
    measure(stand_in, a_plan())
    assert not dead.exists() and living.exists()


def test_all_phones_are_found_and_one_by_its_serial(stand_in: StandIn) -> None:
    stand_in.phone("R58M")
    stand_in.phone("192.168.1.5:5555")
    stand_in.configure(server_starts=True)
    every = find_phones(None, benchmark_model=stand_in.tool)
    assert [target.name for target in every] == ["adb:R58M", "adb:192.168.1.5:5555"]
    (one,) = find_phones("192.168.1.5:5555", benchmark_model=stand_in.tool)
    assert one.name == "adb:192.168.1.5:5555"


@pytest.mark.parametrize(
    ("state", "hint"),
    [
        ("unauthorized", "USB debugging"),
        ("offline", "USB debugging"),
        ("no permissions (user in plugdev group; are your udev rules wrong?); see [http://x]", "plugdev"),
        ("recovery", "Android"),
    ],
)
def test_a_phone_that_is_not_ready_is_named_with_a_hint(stand_in: StandIn, state: str, hint: str) -> None:
    stand_in.phone("R58M")
    stand_in.phone("SICK", state=state)
    with raises_code("phone-not-ready", "adb:SICK: ", state.partition(" (")[0], hint):
        find_phones(None, benchmark_model=stand_in.tool)
    assert find_phones("R58M", benchmark_model=stand_in.tool)


@pytest.mark.parametrize(
    ("serial", "code"),
    [
        ("GONE", "phone-not-connected"),
        ("-s", "invalid-option"),
        ("a b", "invalid-option"),
        ("a\nb", "invalid-option"),
    ],
)
def test_a_serial_that_is_not_connected_is_refused(stand_in: StandIn, serial: str, code: str) -> None:
    stand_in.phone("R58M")
    with raises_code(code, escape_unprintable(f"adb:{serial}: ")):
        find_phones(serial, benchmark_model=stand_in.tool)


def test_no_phone_at_all_is_an_error(stand_in: StandIn) -> None:
    with raises_code("phone-not-connected", "adb: "):
        find_phones(None, benchmark_model=stand_in.tool)


def test_no_adb_is_an_error_with_a_hint(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(stand_in.folder))
    with raises_code("missing-tool", "adb: ", "apt install adb"):
        find_phones(None, benchmark_model=stand_in.tool)


@pytest.mark.parametrize("lost_exit", [0, 255])
def test_a_phone_lost_in_the_middle_keeps_its_results(stand_in: StandIn, lost_exit: int) -> None:
    stand_in.phone("R58M", lost_at=7, lost_exit=lost_exit)
    measured = measure(stand_in, a_plan(a_model("a"), a_model("b"), threads=(1, 2)))
    assert [(item.model, item.setting.threads) for item in measured.summarized] == [("a", 1), ("b", 1)]
    assert [(item.model, item.setting.threads) for item in measured.refused] == [("a", 2), ("b", 2)]
    assert {item.why for item in measured.refused} == {"the phone was lost before this was measured"}
    (lost,) = (note for note in measured.notes if "lost" in note)
    assert lost.startswith("the connection was lost (") and "\n" not in lost


def test_a_phone_lost_before_any_result_is_an_error(stand_in: StandIn) -> None:
    stand_in.phone("R58M", lost_at=1)
    with raises_code("connection-lost", "adb:R58M: ") as caught:
        measure(stand_in, a_plan())
    assert isinstance(caught.value, PhoneLostError) and "\n" not in str(caught.value)


def test_the_other_phone_goes_on(stand_in: StandIn) -> None:
    stand_in.phone("R58M", lost_at=2)
    stand_in.phone("OTHER")
    first, second = find_phones(None, benchmark_model=stand_in.tool)
    assert len(first.measure(a_plan(), track=silent).summarized[0].passes) == 1
    assert len(second.measure(a_plan(), track=silent).summarized[0].passes) == 3


def test_a_model_that_the_tool_refuses_is_refused_with_its_words(stand_in: StandIn) -> None:
    stand_in.phone("R58M")
    measured = measure(stand_in, a_plan(a_model("good"), a_model("bad", identifier=b"JUNK")))
    assert [item.model for item in measured.summarized] == ["good"]
    (refused,) = measured.refused
    assert refused.model == "bad"
    assert refused.why == "The model is not a valid Flatbuffer buffer (exit code 1)"
    assert sum("model-1.tflite" in line for line in commands(stand_in)) == 1  # it is not asked again


@pytest.mark.parametrize(("tool", "why"), [("mute", "not understood"), ("crashing", "exit code 139")])
def test_a_tool_without_output_refuses_the_model(stand_in: StandIn, tool: str, why: str) -> None:
    stand_in.phone("R58M")
    stand_in.configure(tool=tool)
    (refused,) = measure(stand_in, a_plan()).refused
    assert why in refused.why


def test_a_tool_that_does_not_end_is_ended(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    root = stand_in.phone("R58M")
    stand_in.configure(tool="endless")
    monkeypatch.setattr("benchmarks.targets.adb.adb_target.LOADING_SECONDS", 0.5)
    (refused,) = measure(stand_in, a_plan()).refused
    assert "did not end within 2 seconds" in refused.why
    assert not any(str(root) in command for command in running())


def test_a_model_that_does_not_end_is_given_up_under_every_setting(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.phone("R58M")
    stand_in.configure(tool="endless")
    monkeypatch.setattr("benchmarks.targets.adb.adb_target.LOADING_SECONDS", 0.5)
    measured = measure(stand_in, a_plan(threads=(1, 2, 4)))
    assert [item.setting.threads for item in measured.refused] == [1, 2, 4]
    assert [item.why.startswith("not run: did not end") for item in measured.refused] == [False, True, True]
    assert len(commands(stand_in)) == 1


def test_ctrl_c_ends_the_tool_and_leaves_nothing(stand_in: StandIn) -> None:
    root, fifo = stand_in.phone("R58M"), stand_in.folder / "fifo"
    os.mkfifo(fifo)
    stand_in.configure(tool="endless", fifo=str(fifo))
    program = f"""
from tests.benchmarks.targets.test_adb import AdbTarget, Path, a_plan, silent
AdbTarget(serial="R58M", benchmark_model=Path({str(stand_in.tool)!r})).measure(a_plan(), track=silent)
"""
    house = REPOSITORY
    hears = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a suite in the background is deaf to it
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=house, stderr=subprocess.DEVNULL, preexec_fn=hears) as process:
        tool = int(fifo.read_text())
        process.send_signal(signal.SIGINT)
        process.wait(30.0)
    assert process.returncode == -signal.SIGINT
    assert ends(tool)
    assert list((root / "data/local/tmp").iterdir()) == []
    assert (root / "asked").read_text().splitlines()[-1].endswith("false")  # its clocks are as before


def test_more_threads_than_cores_are_left_out(stand_in: StandIn) -> None:
    root = stand_in.phone("R58M")
    stand_in.program(root, "nproc", "echo 2")
    measured = measure(stand_in, a_plan(threads=(1, 4)))
    assert {item.setting.threads for item in measured.summarized} == {1}
    assert any("4 threads were left out" in note for note in measured.notes)


def test_an_old_phone_ends_its_lines_otherwise(stand_in: StandIn) -> None:
    stand_in.phone("R58M", newline="\r\n")
    stand_in.configure(tool="old")
    (summarized,) = measure(stand_in, a_plan()).summarized
    assert summarized.passes[0].median_ms is None
    assert summarized.passes[0].mean_ms == 2305.2


def test_a_full_phone_is_an_error(stand_in: StandIn) -> None:
    root = stand_in.phone("R58M", is_full=True)
    with raises_code("phone-storage", "benchmark_model", "No space left on device", "/data/local/tmp"):
        measure(stand_in, a_plan())
    assert list((root / "data/local/tmp").iterdir()) == []


def test_a_phone_that_never_stops_talking_is_cut_off(stand_in: StandIn) -> None:
    root = stand_in.phone("R58M")
    stand_in.program(root, "getprop", "head -c 10000000 /dev/zero")
    with raises_code("invalid-response", "8 MiB"):
        measure(stand_in, a_plan())


@pytest.mark.parametrize(
    ("program", "script"),
    [
        ("getprop", "yes '[ro.soc.model]: [x]' | head -c 3000000"),
        ("getprop", "printf '[ro.product.model]: [\\033[2Jx\\342\\200\\256y]\\n'"),
        ("nproc", "printf '%05000d' 9"),
        ("nproc", "echo -3"),
        ("nproc", "echo ²"),
        ("dumpsys", "printf 'Thermal Status: %05000d\\n' 9"),
        ("dumpsys", "printf 'Temperature{mValue=%05000d, mType=0, x\\n' 9"),
        ("cmd", "printf '\\033[2J'; exit 1"),
    ],
)
def test_a_phone_that_describes_itself_strangely_is_measured(
    stand_in: StandIn, program: str, script: str
) -> None:
    root = stand_in.phone("R58M")
    stand_in.program(root, program, script)
    measured = measure(stand_in, a_plan())
    assert measured.summarized
    assert all(text.isprintable() and len(text) <= 1_000 for text in measured.environment.values())


def test_a_strange_clock_is_left_out(stand_in: StandIn) -> None:
    root = stand_in.phone("R58M")
    clock = root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"
    clock.write_text(f"² {'9' * 5_000} ٣٣٣٣ 1800000\n", encoding="utf-8")
    assert measure(stand_in, a_plan()).environment["highest_mhz"] == "1800"


HOSTILE_OUTPUT = {
    "negative times": "count=50 first=-5 curr=-5 min=-9 max=-1 avg=-5 std=-1",
    "no number": "count=50 first=nan curr=nan min=nan max=nan avg=nan std=nan",
    "no rounds": "count=0 first=5 curr=5 min=5 max=5 avg=5 std=0",
    "no time": "count=50 first=0 curr=0 min=0 max=0 avg=0 std=0",
    "infinite": "count=50 first=5 curr=5 min=5 max=1e999 avg=5 std=0",
    "huge": f"count={'9' * 5_000} first=5 curr=5 min=5 max=9 avg=5 std=0",
    "large": "count=1e300 first=5 curr=5 min=5 max=9 avg=5 std=0",
    "exchanged": "count=50 first=5 curr=5 min=9 max=5 avg=7 std=0",
    "twice": "count=50 curr=5\ncount=50 curr=5",
}


@pytest.mark.parametrize("line", HOSTILE_OUTPUT.values(), ids=HOSTILE_OUTPUT)
def test_strange_times_are_not_understood(line: str) -> None:
    text = f"count=1 curr=5\n{line}\nInference timings in us: Init: 5, First inference: 5\n"
    assert read_timing(text, kernels=Kernels.BUILTIN) is None


def test_a_profile_of_strange_operators_ends_at_them() -> None:
    head = "Operator-wise Profiling Info for Regular Benchmark Runs\nSummary by node type\n\n"
    rows = ["\x1b[2JADD\t1\t0.1\t50%\n", "MUL\t1\t0.1\t1e9%\n", "SUB\t1\t0.1\t10%\n"]
    (operator,) = read_profile(head + "".join(rows))
    assert operator.name == "\\x1b[2JADD"
    assert not read_profile(head + f"ADD\t{'9' * 4_000}\t0.1\t50%\n")
    assert len(read_profile(head + "ADD\t1\t0.1\t0%\n" * 50_000)) == 10_000


def test_terminal_escapes_in_a_refusal_are_shown() -> None:
    assert read_error("ERROR: \x1b[2J\u202e bad\n") == "\\x1b[2J\\u202e bad"


def test_serials_with_separators_are_not_phones(stand_in: StandIn) -> None:
    stand_in.phone("../../x")
    stand_in.phone("a/b")
    stand_in.phone("\x1b[2J")
    stand_in.phone("R58M")
    (target,) = find_phones(None, benchmark_model=stand_in.tool)
    assert target.name == "adb:R58M"


def test_an_adb_that_has_ended_is_not_waited_for(stand_in: StandIn) -> None:
    """A process that adb leaves behind keeps the pipe open for ten seconds."""
    path = stand_in.folder / "path" / "adb"
    path.write_text("#!/bin/sh\necho List of devices attached\nsleep 10 &\n", encoding="utf-8")
    start = time.monotonic()
    with raises_code("phone-not-connected"):
        find_phones(None, benchmark_model=stand_in.tool)
    assert time.monotonic() - start < 9


def test_an_adb_that_writes_without_end_is_cut_off(stand_in: StandIn) -> None:
    path = stand_in.folder / "path" / "adb"
    for redirection in ("", ">&2"):
        path.write_text(f"#!/bin/sh\nexec yes {redirection}\n", encoding="utf-8")
        with raises_code("invalid-response", "8 MiB"):
            find_phones(None, benchmark_model=stand_in.tool)


def test_a_tool_for_another_processor_is_refused_before_it_is_pushed(stand_in: StandIn) -> None:
    stand_in.phone("R58M")
    stand_in.tool.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, 62) + bytes(40))
    with raises_code("wrong-architecture", stand_in.tool, "x86_64", "arm64-v8a"):
        measure(stand_in, a_plan())
    assert not any("push" in line for line in stand_in.log())


def test_a_tool_that_is_not_there_is_refused_before_any_work(stand_in: StandIn) -> None:
    stand_in.phone("R58M")
    with raises_code("file-not-found", "nowhere: "):
        find_phones(None, benchmark_model=Path("nowhere"))


def running() -> list[str]:
    """The command lines of every process here."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return found
