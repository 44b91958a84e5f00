"""Measure models on a phone with TensorFlow's benchmark_model, which the user builds and provides."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.protocol import results
from benchmarks.protocol.plan import BenchmarkPlan, Setting, Timing, select_settings
from benchmarks.protocol.replies import LARGEST, MOST_OPERATORS
from benchmarks.targets.adb.phone import (
    CommandOutput,
    ListedPhone,
    PhoneLostError,
    PhoneSilentError,
    describe_phone,
    find_ready_phone,
    fixed_clocks,
    is_throttled,
    list_phones,
    private_folder,
    push_file,
    read_thermal_state,
    require_ready,
    run_shell,
)
from dermpack.errors import InputError, escape_unprintable
from dermpack.inference.interpreter_host import Kernels
from dermpack.progress import Track
from dermpack.storage.files import read_bytes, sha256_of, write_bytes

TOOL = "benchmark_model"  # also the runtime in a Setting
MOST_TOOL_BYTES = 256 << 20
PASSES = 3  # processes of each model under each setting, in turns with the other models: A B A B A B
LOADING_SECONDS = 60.0  # in addition to the timing
MOST_CORES = 64  # of a phone that does not report how many it has
CORES = re.compile(r"[1-9][0-9]{0,2}")
TIMED_OUT = 124  # the exit code of timeout(1)
# Android's name for the e_machine of an ELF file.
ABI_OF_MACHINE = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a"}
OWN_SUMMARY = (
    "benchmark_model does not print its rounds: each figure is its own summary of one process, "
    "with no 90th percentile and no interval of the median"
)
THROTTLED = "the phone was throttled because it was warm: let it cool, and measure again"
NOT_UNDERSTOOD = "the output of benchmark_model is not understood; use a newer build"
LOST = "the phone was lost before this was measured"
KEPT_CLOCKS = "its clocks may stay fixed until it restarts"
NO_ACCURACY = "benchmark_model measures with noise as input: the accuracy on this phone was not measured"

# The output of the tool. The time to search a line grows with the square of its length.
MOST_LINE_CHARACTERS = 2_000
LOG_LEVEL = re.compile(r"^(?:INFO|WARN|WARNING|ERROR|VERBOSE): ")  # newer builds write it before each line
FIGURE = re.compile(r"(\w+)=(\d[\d.]*(?:e[+-]?\d+)?)")
LOADED = re.compile(r"timings in us: .*?\bInit: (\d[\d.e+]*)")
# Older builds call it "peak" but mean the same: the growth of the process since its start.
FOOTPRINT = re.compile(r"^(?:Memory footprint delta|Peak memory footprint).*\boverall=(\d[\d.e+-]*)")
REPLACED = re.compile(
    r"Replacing (\d{1,9}) out of (\d{1,9}) node\(s\) with delegate \(TfLiteXNNPackDelegate\)"
)
DELEGATED = {"completely executed": "all", "will not be executed": "none", "partially executed": "some"}
PROFILED, BY_TYPE = "Operator-wise Profiling Info for Regular Benchmark Runs", "Summary by node type"
PROFILE = Timing(warm_up_seconds=0.0, rounds=10, seconds=0.0, most_seconds=30.0)


def find_phones(serial: str | None, *, benchmark_model: Path) -> tuple[AdbTarget, ...]:
    """Return the phone of that serial, or all connected ones; raise InputError if one is not ready."""
    phones = (find_ready_phone(serial),) if serial is not None else list_phones()
    if not phones:
        hint = "Connect a phone and allow USB debugging on it."
        raise InputError("adb", "no phone is connected", hint, code="phone-not-connected")
    for phone in phones:
        require_ready(phone)
    _read_tool(benchmark_model)
    return tuple(AdbTarget(serial=phone.serial, benchmark_model=benchmark_model) for phone in phones)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdbTarget:
    """One phone, and the tool to push to it."""

    serial: str
    benchmark_model: Path

    @property
    def name(self) -> str:
        return f"adb:{self.serial}"

    def measure(self, plan: BenchmarkPlan, *, track: Track) -> results.TargetMeasurement:
        """Time the whole plan; if the connection is lost, return what was measured until then."""
        phone, tool = find_ready_phone(self.serial), _read_tool(self.benchmark_model)
        environment = {**describe_phone(phone), TOOL: f"sha256 {sha256_of(tool)}"}
        _check_architecture(self.benchmark_model, tool, environment)
        reported = environment.get("cores", "")
        cores = int(reported) if CORES.fullmatch(reported) else MOST_CORES
        phone_plan = replace(plan, runtimes=())  # the requested runtimes are Python packages
        settings, left_out = select_settings(phone_plan, where=self.name, runtimes=[TOOL], cores=cores)
        notes = [OWN_SUMMARY, *([NO_ACCURACY] if plan.scored else []), *left_out]
        runs = [
            _ModelOnPhone(model=model.name, setting=setting, file=f"model-{index}.tflite")
            for setting in settings
            for index, model in enumerate(plan.models)
        ]
        try:
            if _measure_phone(phone, plan, tool, runs, environment, track):
                notes.append(THROTTLED)
        except PhoneLostError as error:
            if not any(run.passes for run in runs):
                raise
            notes.append(f"{error.what}; the results until then are kept, and {KEPT_CLOCKS}")
        return results.TargetMeasurement(
            target=self.name,
            is_emulated=False,
            environment=environment,
            summarized=tuple(run.summarized() for run in runs if run.passes),
            profiled=tuple(run.profiled() for run in runs if run.operators),
            refused=tuple(
                results.RefusedModel(model=run.model, setting=run.setting, why=run.refused or LOST)
                for run in runs
                if not run.passes
            ),
            notes=tuple(notes),
        )


def _read_tool(path: Path) -> bytes:
    return read_bytes(path, most=MOST_TOOL_BYTES, hint=f"Give the {TOOL} that was built for the phone.")


def _check_architecture(path: Path, tool: bytes, environment: Mapping[str, str]) -> None:
    """Raise InputError for a tool that was built for another processor."""
    if tool[:4] != b"\x7fELF" or len(tool) < 20 or "abis" not in environment:
        return
    (machine,) = struct.unpack_from("<H", tool, 18)  # e_machine
    abi = ABI_OF_MACHINE.get(machine, f"machine {machine}")
    if abi not in environment["abis"].split(","):
        hint = f"Give the {TOOL} built for {environment['abis'].split(',')[0]}."
        what = f"built for {abi}, which the phone does not support"
        raise InputError(path, what, hint, code="wrong-architecture")


@dataclass(slots=True, kw_only=True)
class _ModelOnPhone:
    """One model under one setting, and what has been measured of it so far."""

    model: str
    setting: Setting
    file: str  # in the folder on the phone
    passes: list[results.ToolPass] = field(default_factory=list)
    delegated: str = ""
    operators: tuple[results.OperatorTime, ...] = ()
    refused: str = ""

    def add(self, output: CommandOutput, *, is_profile: bool) -> None:
        """Add the output of one process; a model that failed once has no passes, not fewer."""
        if is_profile:
            self.operators = read_profile(output.text)
        elif not output.code and (timing := read_timing(output.text, kernels=self.setting.kernels)):
            self.delegated = self.delegated if self.passes else timing[1]
            self.passes.append(timing[0])
        else:
            error = f"{read_error(output.text)} (exit code {output.code})"
            self.refused, self.passes = error if output.code else NOT_UNDERSTOOD, []

    def summarized(self) -> results.SummarizedModel:
        return results.SummarizedModel(
            model=self.model, setting=self.setting, passes=tuple(self.passes), delegated=self.delegated
        )

    def profiled(self) -> results.ProfiledModel:
        return results.ProfiledModel(model=self.model, setting=self.setting, operators=self.operators)


def _measure_phone(
    phone: ListedPhone,
    plan: BenchmarkPlan,
    tool: bytes,
    runs: Sequence[_ModelOnPhone],
    environment: dict[str, str],
    track: Track,
) -> bool:
    """Run everything on the phone, leave it as it was, and return whether it was throttled."""
    with ExitStack() as stack:
        environment.update(stack.enter_context(fixed_clocks(phone)))
        folder = stack.enter_context(private_folder(phone.serial))
        models = {f"model-{index}.tflite": model.data for index, model in enumerate(plan.models)}
        _push_files(phone, {TOOL: tool, **models}, folder)
        before = read_thermal_state(phone)
        environment.update({f"{name}_before": text for name, text in before.items()})
        unprofiled = set[str]()
        # Under each setting, all models in turns for the time, then each once for its operators.
        steps = [
            (run, timing)
            for setting in dict.fromkeys(run.setting for run in runs)
            for timing in (*[plan.timing] * PASSES, PROFILE)
            for run in runs
            if run.setting == setting
        ]
        for run, timing in track(steps, total=len(steps), what=f"Measuring on adb:{phone.serial}"):
            if run.refused or (timing is PROFILE and run.model in unprofiled):
                continue
            output = _run_tool(phone, run, timing, folder)
            run.add(output, is_profile=timing is PROFILE)
            if output.code == TIMED_OUT and timing is PROFILE:
                unprofiled.add(run.model)
            elif output.code == TIMED_OUT:
                # Each further attempt would take minutes too.
                for other in runs:
                    if other.model == run.model and not other.passes and not other.refused:
                        other.refused = f"not run: {output.text} under {run.setting}"
        after = read_thermal_state(phone)
        environment.update({f"{name}_after": text for name, text in after.items()})
        return is_throttled(before) or is_throttled(after)


def _push_files(phone: ListedPhone, files: Mapping[str, bytes], folder: str) -> None:
    with TemporaryDirectory(prefix="dermpack-adb-") as local:
        for name, data in files.items():
            write_bytes(Path(local) / name, data)
            push_file(phone.serial, Path(local) / name, f"{folder}/{name}")
    if run_shell(phone.serial, f"chmod 700 {folder}/{TOOL}").code:
        what = "the phone does not allow files to be executed"
        raise InputError(f"adb:{phone.serial}", what, "Use another phone.", code="phone-storage")


def _run_tool(phone: ListedPhone, run: _ModelOnPhone, timing: Timing, folder: str) -> CommandOutput:
    """Run one process of the tool; if it does not end in time, kill it."""
    graph = f"{folder}/{run.file}"
    arguments = timing_arguments(graph, setting=run.setting, timing=timing)
    if timing is PROFILE:
        arguments = profile_arguments(graph, setting=run.setting)
    seconds = LOADING_SECONDS + timing.warm_up_seconds + timing.most_seconds
    # A recent time of the folder marks a running measurement, which another one must not remove.
    command = f"touch {folder}; {folder}/{TOOL} {' '.join(arguments)}"
    try:
        return run_shell(phone.serial, command, seconds=seconds)
    except PhoneSilentError:
        run_shell(phone.serial, f"pkill -f '{folder}/[b]enchmark_model'")
        return CommandOutput(code=TIMED_OUT, text=f"did not end within {seconds:.0f} seconds")


def timing_arguments(graph: str, *, setting: Setting, timing: Timing) -> tuple[str, ...]:
    """Return the arguments that time one model."""
    return (
        f"--graph={graph}",
        f"--num_threads={setting.threads}",
        # Without the option, the tool would apply XNNPACK.
        f"--use_xnnpack={'true' if setting.kernels is Kernels.XNNPACK else 'false'}",
        "--warmup_runs=1",
        f"--warmup_min_secs={timing.warm_up_seconds:g}",
        f"--num_runs={timing.rounds}",
        f"--min_secs={timing.seconds:g}",
        f"--max_secs={timing.most_seconds:g}",
    )


def profile_arguments(graph: str, *, setting: Setting) -> tuple[str, ...]:
    """Return the arguments that profile one model, in a separate process: profiling slows operators down."""
    return (*timing_arguments(graph, setting=setting, timing=PROFILE), "--enable_op_profiling=true")


def read_timing(text: str, *, kernels: Kernels) -> tuple[results.ToolPass, str] | None:
    """Return the figures of a process that timed a model, and what XNNPACK took; None if some are missing."""
    lines = [LOG_LEVEL.sub("", line.strip()[:MOST_LINE_CHARACTERS]) for line in text.splitlines()]
    footprint = next((match for match in map(FOOTPRINT.search, lines) if match), None)
    try:
        # One "count=" line is of the warm-up, the next of the rounds.
        warm_up, run = (
            {name: _parse_finite(number) for name, number in FIGURE.findall(line)}
            for line in lines
            if line.startswith("count=")
        )
        # If all rounds took the same time, or there was only one, the tool prints only "curr".
        if not {"avg", "min", "max", "std"} & run.keys():
            run |= {**dict.fromkeys(("avg", "min", "max"), run["curr"]), "std": 0.0}
        figures = results.ToolPass(
            load_ms=next(_parse_finite(match[1]) for match in map(LOADED.search, lines) if match) / 1e3,
            first_ms=warm_up.get("first", warm_up["curr"]) / 1e3,
            warm_up_rounds=int(warm_up["count"]),
            rounds=int(run["count"]),
            mean_ms=run["avg"] / 1e3,
            deviation_ms=run["std"] / 1e3,
            min_ms=run["min"] / 1e3,
            max_ms=run["max"] / 1e3,
            p5_ms=run["p5"] / 1e3 if "p5" in run else None,
            median_ms=run["median"] / 1e3 if "median" in run else None,
            p95_ms=run["p95"] / 1e3 if "p95" in run else None,
            footprint_bytes=_parse_mebibytes(footprint[1]) if footprint else None,
        )
    except (KeyError, StopIteration, ValueError):
        return None
    if not figures.rounds or not figures.mean_ms or figures.min_ms > figures.max_ms:
        return None
    return figures, _read_delegated(lines) if kernels is Kernels.XNNPACK else "none"


def _read_delegated(lines: list[str]) -> str:
    """Return how many operators XNNPACK took, if this build of the tool prints it."""
    replaced = next((match for match in map(REPLACED.search, lines) if match), None)
    if replaced:
        return "all" if replaced[1] == replaced[2] else f"{replaced[1]} of {replaced[2]} operators"
    xnnpack = (line for line in lines if "XNNPACK delegate" in line)
    return next((what for line in xnnpack for words, what in DELEGATED.items() if words in line), "")


def read_profile(text: str) -> tuple[results.OperatorTime, ...]:
    """Return the rows of the table by type of operator, or nothing without such a table."""
    _, _, after = text.partition(PROFILED)
    _, _, table = after.partition(BY_TYPE)
    operators = list[results.OperatorTime]()
    for row in table.splitlines()[2:]:
        # Kind, count, milliseconds, share in per cent, and more; any other line ends the table.
        try:
            name, count, _, share = [cell.strip() for cell in row.strip().split("\t")][:4]
            number, fraction = int(_parse_finite(count)), _parse_finite(share.removesuffix("%")) / 100
        except ValueError:
            break
        if fraction > 1 or len(operators) >= MOST_OPERATORS:
            break
        is_delegated = "delegate" in name.lower()
        kind = results.OperatorTime(
            name=escape_unprintable(name[:80])[:80], count=number, share=fraction, is_delegated=is_delegated
        )
        operators.append(kind)
    return tuple(operators)


def read_error(text: str) -> str:
    """Return the reason for a failure: the tool's first line of error, else its last line."""
    errors = [line for line in text.splitlines() if line.lower().startswith(("error", "fatal"))]
    lines = errors[:1] or [line for line in text.splitlines() if line.strip()][-1:]
    return escape_unprintable(LOG_LEVEL.sub("", lines[0]))[:300] if lines else "no message"


def _parse_mebibytes(text: str) -> int:
    size_bytes = _parse_finite(text) * (1 << 20)
    return round(_parse_finite(str(size_bytes)))


def _parse_finite(text: str) -> float:
    number = float(text)
    if not 0 <= number <= LARGEST:
        raise ValueError(text[:20])
    return number
