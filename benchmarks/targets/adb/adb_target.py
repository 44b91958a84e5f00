"""Measure models on a phone with benchmark_model, which the user builds and provides."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.protocol.plan import BenchmarkPlan, Setting, select_settings
from benchmarks.protocol.results import (
    ProfiledModel,
    RefusedModel,
    SummarizedModel,
    TargetMeasurement,
    ToolPass,
)
from benchmarks.targets.adb.benchmark_model import (
    PROFILE,
    RUNTIME,
    profile_arguments,
    read_error,
    read_profile,
    read_timing,
    timing_arguments,
)
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
from dermpack.errors import InputError
from dermpack.progress import Track
from dermpack.storage.files import read_bytes, sha256_of, write_bytes

TOOL = "benchmark_model"
MOST_TOOL_BYTES = 256 << 20
PASSES = 3  # processes of each model under each setting, in turns with the other models: A B A B A B
LOADING_SECONDS = 60.0  # in addition to the timing
MOST_CORES = 64  # of a phone that does not report how many it has
TIMED_OUT = 124  # the exit code of timeout(1)
# Android's name for the e_machine of an ELF file.
ABI_OF_MACHINE = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a"}
OWN_SUMMARY = (
    "benchmark_model does not print its rounds: each figure is its own summary of one process, "
    "with no 90th percentile and no interval of the median"
)
KEPT_CLOCKS = "its clocks may stay fixed until it restarts"
NO_ACCURACY = "benchmark_model measures with noise as input: the accuracy on this phone was not measured"


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

    def measure(self, plan: BenchmarkPlan, *, track: Track) -> TargetMeasurement:
        """Time the whole plan; if the connection is lost, return what was measured until then."""
        phone, tool = find_ready_phone(self.serial), _read_tool(self.benchmark_model)
        environment = {**describe_phone(phone), TOOL: f"sha256 {sha256_of(tool)}"}
        _check_architecture(self.benchmark_model, tool, environment)
        reported = environment.get("cores", "")
        cores = int(reported) if reported.isdecimal() else MOST_CORES
        phone_plan = replace(plan, runtimes=())  # the requested runtimes are Python packages
        settings, left_out = select_settings(phone_plan, where=self.name, runtimes=[RUNTIME], cores=cores)
        notes = [OWN_SUMMARY, *([NO_ACCURACY] if plan.scored else []), *left_out]
        results = _PhoneResults(settings=settings, environment=environment, notes=notes)
        try:
            _measure_phone(phone, plan, tool, results, track)
        except PhoneLostError as error:
            if not results.passes:
                raise
            results.notes.append(f"{error.what}; the results until then are kept, and {KEPT_CLOCKS}")
        return results.measurement(plan, target=self.name)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _PhoneStep:
    """One process of the tool on the phone."""

    setting: Setting
    is_profile: bool
    index: int  # the model's place in the plan
    model: str


@dataclass(slots=True, kw_only=True)
class _PhoneResults:
    """What has been measured on the phone so far, by model and setting."""

    settings: tuple[Setting, ...]
    environment: dict[str, str]
    notes: list[str]
    passes: dict[tuple[str, Setting], list[ToolPass]] = field(default_factory=dict)
    delegated: dict[tuple[str, Setting], str] = field(default_factory=dict)
    profiled: list[ProfiledModel] = field(default_factory=list)
    refused: dict[tuple[str, Setting], str] = field(default_factory=dict)

    def add(self, step: _PhoneStep, output: CommandOutput) -> None:
        key = (step.model, step.setting)
        if step.is_profile:
            operators = read_profile(output.text)
            if operators:
                profiled = ProfiledModel(model=step.model, setting=step.setting, operators=operators)
                self.profiled.append(profiled)
        elif output.code:
            self.refused[key] = f"{read_error(output.text)} (exit code {output.code})"
        elif timing := read_timing(output.text, kernels=step.setting.kernels):
            self.passes.setdefault(key, []).append(timing[0])
            self.delegated.setdefault(key, timing[1])
        else:
            self.refused[key] = "the output of benchmark_model is not understood; use a newer build"
        # A model that failed once has no passes, not fewer.
        if key in self.refused:
            self.passes.pop(key, None)

    def measurement(self, plan: BenchmarkPlan, *, target: str) -> TargetMeasurement:
        keys = dict.fromkeys((step.model, step.setting) for step in _plan_steps(plan, self.settings))
        lost = "the phone was lost before this was measured"
        refused = {key: lost for key in keys if key not in self.passes} | self.refused
        summarized = (
            SummarizedModel(model=key[0], setting=key[1], passes=tuple(passes), delegated=self.delegated[key])
            for key, passes in self.passes.items()
        )
        return TargetMeasurement(
            target=target,
            is_emulated=False,
            environment=self.environment,
            summarized=tuple(summarized),
            profiled=tuple(self.profiled),
            refused=tuple(
                RefusedModel(model=key[0], setting=key[1], why=why) for key, why in refused.items()
            ),
            notes=tuple(self.notes),
        )


def _plan_steps(plan: BenchmarkPlan, settings: tuple[Setting, ...]) -> list[_PhoneStep]:
    """Under each setting, plan all models in turns for the time, then each once for its operators."""
    return [
        _PhoneStep(setting=setting, is_profile=is_profile, index=index, model=model.name)
        for setting in settings
        for is_profile in (*[False] * PASSES, True)
        for index, model in enumerate(plan.models)
    ]


def _measure_phone(
    phone: ListedPhone, plan: BenchmarkPlan, tool: bytes, results: _PhoneResults, track: Track
) -> None:
    """Copy everything to the phone, run all steps there, and leave the phone as it was."""
    with ExitStack() as stack:
        results.environment.update(stack.enter_context(fixed_clocks(phone)))
        folder = stack.enter_context(private_folder(phone.serial))
        models = {f"model-{index}.tflite": model.data for index, model in enumerate(plan.models)}
        _push_files(phone, {TOOL: tool, **models}, folder)
        before, steps = read_thermal_state(phone), _plan_steps(plan, results.settings)
        results.environment.update({f"{name}_before": text for name, text in before.items()})
        for step in track(steps, total=len(steps), what=f"Measuring on adb:{phone.serial}"):
            if (step.model, step.setting) not in results.refused:
                results.add(step, _run_step(phone, step, plan, folder))
        after = read_thermal_state(phone)
        results.environment.update({f"{name}_after": text for name, text in after.items()})
        if is_throttled(before) or is_throttled(after):
            results.notes.append(
                "the phone was throttled because it was warm: let it cool, and measure again"
            )


def _push_files(phone: ListedPhone, files: Mapping[str, bytes], folder: str) -> None:
    with TemporaryDirectory(prefix="dermpack-adb-") as local:
        for name, data in files.items():
            write_bytes(Path(local) / name, data)
            push_file(phone.serial, Path(local) / name, f"{folder}/{name}")
    if run_shell(phone.serial, f"chmod 700 {folder}/{TOOL}").code:
        what = "the phone does not allow files to be executed"
        raise InputError(f"adb:{phone.serial}", what, "Use another phone.", code="phone-storage")


def _run_step(phone: ListedPhone, step: _PhoneStep, plan: BenchmarkPlan, folder: str) -> CommandOutput:
    """Run one process of the tool; if it does not end in time, kill it."""
    graph, timing = f"{folder}/model-{step.index}.tflite", PROFILE if step.is_profile else plan.timing
    if step.is_profile:
        arguments = profile_arguments(graph, setting=step.setting)
    else:
        arguments = timing_arguments(graph, setting=step.setting, timing=timing)
    seconds = LOADING_SECONDS + timing.warm_up_seconds + timing.most_seconds
    # A recent time of the folder marks a running measurement, which another one must not remove.
    command = f"touch {folder}; {folder}/{TOOL} {' '.join(arguments)}"
    try:
        return run_shell(phone.serial, command, seconds=seconds)
    except PhoneSilentError:
        run_shell(phone.serial, f"pkill -f '{folder}/[b]enchmark_model'")
        return CommandOutput(code=TIMED_OUT, text=f"did not end within {seconds:.0f} seconds")
