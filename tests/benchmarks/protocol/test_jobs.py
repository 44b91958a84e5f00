"""Asking a worker, wherever it is: here it is a function that says what a test wants it to."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.protocol.jobs import (
    SCRIPTS,
    JobKind,
    JobModels,
    WorkerResults,
    describe_target,
    run_jobs,
    write_job_folder,
)
from benchmarks.protocol.plan import BenchmarkPlan, Setting
from benchmarks.protocol.replies import WorkerFailedError, WorkerTimeoutError, parse_answer
from dermpack.imaging.preprocessing import Policy, prepare
from dermpack.inference.interpreter_host import Kernels

ONE = Setting(runtime="ai-edge-litert", kernels=Kernels.XNNPACK, threads=1)
TWO = replace(ONE, threads=2)
TIMED = {
    **{"load_ms": 1.0, "first_ms": 2.0, "warm_up_rounds": 3, "rounds_ms": [1.0, 2.0, 1.5, 2.5]},
    **{"turns": 2, "delegated": "all"},
}
OUTPUTS = base64.b64encode(np.zeros((12, 3), np.uint8).tobytes()).decode()
ANSWERED = {"dtype": "uint8", "shape": [12, 3], "scale": 0.5, "zero_point": 3, "outputs": OUTPUTS}
COUNTED = {**ANSWERED, "instructions": [5, 5, 5], "delegated": "all"}
PROFILED = {"operators": [{"name": "ADD", "count": 2, "share": 1.0, "is_delegated": True}]}
REPLIES = {"time": TIMED, "answer": ANSWERED, "count": COUNTED, "profile": PROFILED}
ALL = (JobKind.TIME, JobKind.ANSWER, JobKind.PROFILE)


class StubRunner:
    """A job runner with a fixed reply for each kind of job, and other replies for some models."""

    def __init__(self, **instead: Any) -> None:
        self.instead, self.asked = instead, list[tuple[str, int, list[str]]]()

    def __call__(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        names = [model["name"] for model in job["models"]]
        self.asked.append((job["kind"], job["threads"], names))
        reply = [self.instead.get(name, REPLIES[job["kind"]]) for name in names]
        for item in reply:
            if isinstance(item, WorkerFailedError):
                raise item
        models = [{"model": name, **item} for name, item in zip(names, reply, strict=True)]
        return {"models": models, "peak_bytes": 4096, "environment_after": {"/proc/loadavg": "1.50 1 1"}}


@pytest.fixture
def laid(plan: BenchmarkPlan, tmp_path: Path) -> JobModels:
    (tmp_path / "laid").mkdir()
    return write_job_folder(plan, tmp_path / "laid")


def test_everything_that_jobs_name_is_laid_out(plan: BenchmarkPlan, laid: JobModels, tmp_path: Path) -> None:
    folder = tmp_path / "laid"
    of_models = {model[part] for model in laid for part in ("file", "table", "pixels")}
    assert {path.name for path in folder.iterdir()} == {*of_models, *SCRIPTS}
    assert {model["pixels"] for model in laid} == {"pixels-8.npy"}
    pixels = np.load(folder / "pixels-8.npy", allow_pickle=False)
    assert (pixels.shape, pixels.dtype) == ((12, 8, 8, 3), np.uint8)
    assert plan.scored is not None
    for index, picture in enumerate(plan.scored.pictures):
        assert (pixels[index] == prepare(plan.scored.dataset.file(picture), 8)).all()
    for model, named in zip(plan.models, laid, strict=True):
        assert (folder / named["file"]).read_bytes() == model.data
        assert (np.load(folder / named["table"], allow_pickle=False) == model.binding.feed.table).all()


def test_each_policy_has_pixels_of_its_own(plan: BenchmarkPlan, tmp_path: Path) -> None:
    first, second = plan.models
    assert second.sidecar is not None
    whole = replace(second, sidecar=replace(second.sidecar, policy=Policy.WHOLE))
    laid = write_job_folder(replace(plan, models=[first, whole]), tmp_path)
    assert [model["pixels"] for model in laid] == ["pixels-8.npy", "pixels-8-whole.npy"]


def test_without_pictures_the_same_noise_is_shown(plan: BenchmarkPlan, tmp_path: Path) -> None:
    seen = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_job_folder(replace(plan, scored=None), tmp_path / name)
        seen.append((tmp_path / name / "pixels-8.npy").read_bytes())
    assert seen[0] == seen[1]


def test_models_are_asked_alone_and_then_timed_together(plan: BenchmarkPlan, laid: JobModels) -> None:
    runner = StubRunner()
    pieces = run_jobs(plan, laid, runner, settings=[ONE, TWO], kinds=ALL)
    alone = [(kind, 1, [name]) for name in ("float32", "int8") for kind in ("time", "answer", "profile")]
    together = ["float32", "int8"]
    # Answers and operators are the same for any number of threads.
    again = [("time", 2, ["float32"]), ("time", 2, ["int8"]), ("time", 2, together)]
    assert runner.asked == [*alone, ("time", 1, together), *again]
    assert [(item.model, item.setting) for item in pieces.timed] == [
        *(("float32", ONE), ("int8", ONE), ("float32", TWO), ("int8", TWO)),
    ]
    assert {item.peak_bytes for item in pieces.timed} == {4096}
    assert [item.outputs.shape for item in pieces.answered] == [(12, 3)] * 2
    assert pieces.environment_after == {"load": "1.50"}
    assert len(pieces.profiled) == 2 and not pieces.refused


def test_counts_are_kept_as_the_carry_adds_them(plan: BenchmarkPlan, laid: JobModels) -> None:
    pieces = run_jobs(plan, laid, StubRunner(), settings=[ONE], kinds=[JobKind.COUNT])
    assert [item.instructions for item in pieces.counted] == [(5, 5, 5)] * 2


@pytest.mark.parametrize(
    "item", [WorkerFailedError("SIGSEGV"), {"refused": "RuntimeError: no such operator"}]
)
def test_a_model_that_does_not_run_is_asked_once(plan: BenchmarkPlan, laid: JobModels, item: Any) -> None:
    runner = StubRunner(int8=item)
    pieces = run_jobs(plan, laid, runner, settings=[ONE], kinds=ALL)
    assert [(item.model, item.setting) for item in pieces.refused] == [("int8", ONE)]
    assert [names for _, _, names in runner.asked].count(["int8"]) == 1
    assert [item.model for item in pieces.timed] == ["float32"]


def test_a_model_is_given_up_after_its_first_time_out(plan: BenchmarkPlan, laid: JobModels) -> None:
    runner = StubRunner(int8=WorkerTimeoutError("no answer within 120 s"))
    pieces = run_jobs(plan, laid, runner, settings=[ONE, TWO], kinds=ALL)
    assert [names for _, _, names in runner.asked].count(["int8"]) == 1
    assert [(item.model, item.setting) for item in pieces.refused] == [("int8", ONE), ("int8", TWO)]
    assert pieces.refused[0].why == "no answer within 120 s"
    assert pieces.refused[1].why == f"not run: no answer within 120 s under {ONE}"
    assert [item.model for item in pieces.timed] == ["float32", "float32"]


def test_profiles_are_given_up_alone(plan: BenchmarkPlan, laid: JobModels) -> None:
    asked = []

    def carry(job: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append(job["kind"])
        if job["kind"] == "profile":
            raise WorkerTimeoutError("no answer within 120 s")
        return StubRunner()(job)

    builtin = replace(ONE, kernels=Kernels.BUILTIN)
    pieces = run_jobs(plan, laid, carry, settings=[ONE, builtin], kinds=ALL)
    assert asked.count("profile") == 2  # of each model one
    assert not pieces.refused and len(pieces.timed) == 4 and len(pieces.notes) == 4


def test_a_failure_that_is_not_a_time_out_is_tried_under_each_setting(
    plan: BenchmarkPlan, laid: JobModels
) -> None:
    runner = StubRunner(int8=WorkerFailedError("SIGSEGV"))
    run_jobs(plan, laid, runner, settings=[ONE, TWO], kinds=ALL)
    assert [names for _, _, names in runner.asked].count(["int8"]) == 2


def test_a_death_is_named(plan: BenchmarkPlan, laid: JobModels) -> None:
    pieces = run_jobs(plan, laid, StubRunner(int8=WorkerFailedError("SIGSEGV")), settings=[ONE], kinds=ALL)
    assert [item.why for item in pieces.refused] == ["the interpreter died (SIGSEGV)"]


def test_a_model_that_cannot_be_profiled_is_not_refused(plan: BenchmarkPlan, laid: JobModels) -> None:
    def carry(job: Mapping[str, Any]) -> Mapping[str, Any]:
        if job["kind"] == "profile":
            raise WorkerFailedError("SIGABRT")
        return StubRunner()(job)

    pieces = run_jobs(plan, laid, carry, settings=[ONE], kinds=ALL)
    assert not pieces.refused and len(pieces.timed) == 2
    assert "no profile of its operators" in pieces.notes[0]


SPOILT: dict[str, Any] = {
    "no models": {"models": None},
    "a number for a model": {"models": [7]},
    "another model": {"models": [{"model": "other", **TIMED}]},
    "one model twice": {"models": [{"model": "float32", **TIMED}] * 2},
}
SPOILT_MODELS: dict[str, Any] = {
    "no rounds": {**TIMED, "rounds_ms": []},
    "rounds that are no list": {**TIMED, "rounds_ms": "fast"},
    "a negative round": {**TIMED, "rounds_ms": [1.0, -1.0]},
    "a round that is no number": {**TIMED, "rounds_ms": [1.0, float("nan")]},
    "an endless round": {**TIMED, "rounds_ms": [1.0, float("inf")]},
    "a round that is true": {**TIMED, "rounds_ms": [1.0, True]},
    "a round of no time": {**TIMED, "rounds_ms": [0.0, 1.0, 1.0, 1.0]},
    "a round of years": {**TIMED, "rounds_ms": [1e11, 1.0, 1.0, 1.0]},
    "a huge integer": {**TIMED, "warm_up_rounds": 10**25},
    "more rounds than a report can have": {**TIMED, "rounds_ms": [1.0] * 1_000_002},
    "a negative time to load": {**TIMED, "load_ms": -1.0},
    "a time to load that is no number": {**TIMED, "load_ms": float("nan")},
    "no turn": {**TIMED, "turns": 0},
    "unequal turns": {**TIMED, "turns": 3},
    "a delegate that is no text": {**TIMED, "delegated": 7},
    "half a warm-up": {**TIMED, "warm_up_rounds": 0.5},
    "a refusal that is no text": {"refused": ["no"]},
}
SPOILT_ANSWERS: dict[str, Any] = {
    "another type": {**ANSWERED, "dtype": "object"},
    "too few pictures": {**ANSWERED, "shape": [11, 3]},
    "a shape that is no list": {**ANSWERED, "shape": 12},
    "a side that is no number": {**ANSWERED, "shape": [12, "3"]},
    "another shape": {**ANSWERED, "shape": [12, 4]},
    "no base64": {**ANSWERED, "outputs": "§§§"},
    "cut off": {**ANSWERED, "outputs": OUTPUTS[:-8]},
    "no outputs": {**ANSWERED, "outputs": None},
    "no scale": {**ANSWERED, "scale": None},
    "a far zero point": {**ANSWERED, "zero_point": -(10**9)},
}


def refusals(pieces: WorkerResults) -> list[str]:
    return [item.why for item in pieces.refused]


@pytest.mark.parametrize("reply", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_answer_is_refused(plan: BenchmarkPlan, laid: JobModels, reply: Any) -> None:
    pieces = run_jobs(plan, laid, lambda _: reply, settings=[ONE], kinds=[JobKind.TIME])
    assert len(refusals(pieces)) == 2
    assert all("cannot be read" in why for why in refusals(pieces))


@pytest.mark.parametrize("reply", SPOILT_MODELS.values(), ids=SPOILT_MODELS)
def test_spoilt_times_are_refused(plan: BenchmarkPlan, laid: JobModels, reply: Any) -> None:
    pieces = run_jobs(plan, laid, StubRunner(int8=reply), settings=[ONE], kinds=[JobKind.TIME])
    assert "int8" in {item.model for item in pieces.refused}
    assert "int8" not in {item.model for item in pieces.timed}


@pytest.mark.parametrize("reply", SPOILT_ANSWERS.values(), ids=SPOILT_ANSWERS)
def test_spoilt_outputs_are_refused(plan: BenchmarkPlan, laid: JobModels, reply: Any) -> None:
    pieces = run_jobs(plan, laid, StubRunner(int8=reply), settings=[ONE], kinds=[JobKind.ANSWER])
    assert [item.model for item in pieces.answered] == ["float32"]
    assert len(refusals(pieces)) == 1


@pytest.mark.parametrize(
    "counts", [None, [5, 5], [5, 5, -1], [5, 5, 1.5], [5, 5, 2**70], [0, 0, 0], [5, 5, 2**60]]
)
def test_spoilt_counts_are_refused(plan: BenchmarkPlan, laid: JobModels, counts: Any) -> None:
    reply = {**COUNTED, "instructions": counts}
    pieces = run_jobs(plan, laid, StubRunner(int8=reply), settings=[ONE], kinds=[JobKind.COUNT])
    assert [item.model for item in pieces.counted] == ["float32"]


def test_the_description_of_a_target_is_made_printable() -> None:
    def carry(_: Mapping[str, Any]) -> Mapping[str, Any]:
        result = {"machine": "arm\x1b[2Jv8", "cores": "4", "odd": 7}
        return {"environment": result, "runtimes": {"ai-edge-litert": "2.3.0", 5: "x"}}

    described = describe_target(carry, where="here", hint="")
    assert described.environment == {"machine": "arm\\x1b[2Jv8", "cores": "4"}
    assert described.runtimes == {"ai-edge-litert": "2.3.0"}


def test_a_machine_with_a_thousand_runtimes_is_measured_with_the_known_ones() -> None:
    runtimes = {**{f"runtime-{number}": "1" for number in range(900)}, "tflite-runtime": "2\x1b" * 40_000}
    described = describe_target(lambda _: {"runtimes": runtimes}, where="here", hint="")
    assert set(described.runtimes) == {"tflite-runtime"}
    version = described.runtimes["tflite-runtime"]
    assert version.isprintable() and len(version) < 1_000


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"models": NaN}',
        b'{"models": 1e999}',
        b'{"models": ' + b"9" * 5_000 + b"}",
        b"\xff\xfe{}",
        b"{" + b'"a":"b",' * 200_000 + b'"a":1}',
        b"[" + b"[],[]," * 300_000 + b"0]",
        b'{"a":' + b" " * (65 << 20) + b"1}",
    ],
    ids=["brackets", "objects", "nan", "infinity", "digits", "utf-16", "texts", "lists", "spaces"],
)
def test_a_hostile_answer_is_a_failure_of_the_worker(data: bytes) -> None:
    with pytest.raises(WorkerFailedError) as caught:
        parse_answer(data)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 200


def test_texts_of_a_machine_have_a_limit() -> None:
    texts = {"machine": "a\x1b" * 60_000, "cores": "9" * 60_000}
    described = describe_target(lambda _: {"environment": texts}, where="here", hint="")
    assert len(described.environment["machine"]) <= 4_000
    assert "cores" not in described.environment
