"""Answer one job about models, in one process: time them, run them, say where they are.

Stands alone, on Python 3.9 or later with numpy and one interpreter: it is copied to where models run.
`python worker.py JOB.json`, in the folder that holds what the job names, prints one JSON object; what
fails is one line on stderr. `benchmarks/protocol/jobs.py` writes the jobs; its neighbours come along.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import importlib
import importlib.util
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

SCHEMA = 1
RUNTIMES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
RESOLVERS = {"xnnpack": "AUTO", "none": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}
REFUSALS = (ValueError, RuntimeError, TypeError, MemoryError, OverflowError, LookupError, SystemError)
# Harmless calls with these arguments stand before and after every counted inference: an emulator sees them.
BEGIN, END = 0x7E570001, 0x7E570002  # larger than any process id
STABLE = 0.03  # the medians of two neighbouring windows differ by less
WINDOW_ROUNDS = 10
MOST_WARM_UPS = 6  # a warm-up that does not settle ends after so many times its seconds
# Models take turns of many rounds: after every single round of another model, its weights would fill the
# caches and its threads still spin (a model of 0.29 ms was seen to take 0.49 ms, with two threads 12 ms).
TURNS = 25
MOST_ANSWER_BYTES = 1 << 30  # a model may spoil the memory of what runs it
SETTLE_SECONDS = 0.01  # of untimed rounds when a model's turn begins

Job = dict[str, Any]
Kinds = Mapping[str, Callable[[Job], Job]]


def main(kinds: Kinds) -> None:
    answers = _private_stdout()
    try:
        job = json.loads(Path(sys.argv[1]).read_bytes())
        if job.get("schema") != SCHEMA:
            raise ValueError(f"the job has schema {job.get('schema')}, this worker supports {SCHEMA}")
        _limit(job)
        answer = kinds[job["kind"]](job)
    except (OSError, KeyError, IndexError, ImportError, *REFUSALS) as error:
        sys.exit(_line(error))
    answers.write(json.dumps(answer, sort_keys=True).encode())
    answers.flush()


def describe(job: Job) -> Job:
    """Where this is, and what can interpret models here."""
    place = _neighbour("environment")
    return {"environment": place.environment(job["read"]), "runtimes": place.versions(RUNTIMES)}


def time_models(job: Job) -> Job:
    """Load all models, warm each up, then time them in turns: A … A B … B A … A B … B."""
    runs, timing = [LoadedModel(job, model) for model in job["models"]], job["timing"]
    standing = [run for run in runs if run.loads()]
    gc.disable()
    for run in standing:
        run.warm_up(timing["warm_up_seconds"])
    turns = _take_turns(standing, timing)
    models, place = [run.timed(turns) for run in runs], _neighbour("environment")
    after, peak_bytes = place.environment(job["read"]), place.peak_bytes()
    return {"models": models, "environment_after": after, "peak_bytes": peak_bytes}


def answer_models(job: Job) -> Job:
    """The outputs for all pictures, as the model gives them."""
    return {"models": [_outputs(LoadedModel(job, model), None) for model in job["models"]]}


def count_models(job: Job) -> Job:
    """The outputs of a few inferences, each between two marks."""
    return {"models": [_outputs(LoadedModel(job, model), job["inferences"]) for model in job["models"]]}


def profile_models(job: Job) -> Job:
    """Where the time of an inference goes."""
    return {"models": [_profiled(job, model) for model in job["models"]]}


KINDS = {
    "describe": describe,
    "time": time_models,
    "answer": answer_models,
    "count": count_models,
    "profile": profile_models,
}


class LoadedModel:
    """A model in its interpreter, what it took to load it, and its rounds."""

    def __init__(self, job: Job, model: Job) -> None:
        self.job, self.model, self.refused = job, model, ""
        self.rounds_ns: list[int] = []
        self.warm_up_rounds, self.turn_rounds = 0, 1

    def loads(self) -> bool:
        """Whether the interpreter takes it; the first inference pages the weights in and is told apart."""
        try:
            _module(self.job)  # importing the interpreter is no part of loading a model
            start = time.perf_counter_ns()
            self.interpreter = _interpreter(self.job, self.model["file"])
            self.load_ns = time.perf_counter_ns() - start
            self.feed = _Feed(self.interpreter, self.model)
            self.first_ns = self.round_ns()
        except REFUSALS as error:
            self.refused = _line(error)
        return not self.refused

    def round_ns(self) -> int:
        """One inference; copying the picture in is not part of it."""
        self.feed.show(0)
        start = time.perf_counter_ns()
        self.interpreter.invoke()
        return time.perf_counter_ns() - start

    def warm_up(self, seconds: float) -> None:
        """At least so many seconds, then until the median stands still, or it has taken too long."""
        rounds: list[int] = []
        start = time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds * MOST_WARM_UPS:
            if passed >= seconds and _is_stable(rounds):
                break
            rounds.append(self.round_ns())
        self.warm_up_rounds = len(rounds)
        self.typical_ns = float(np.median(rounds[-WINDOW_ROUNDS:] or [self.first_ns]))

    def take_turn(self, *, is_alone: bool) -> None:
        start = time.perf_counter()
        while not is_alone and time.perf_counter() - start < SETTLE_SECONDS:
            self.round_ns()
        self.rounds_ns += [self.round_ns() for _ in range(self.turn_rounds)]

    def has_enough(self, timing: Job) -> bool:
        has_rounds = len(self.rounds_ns) >= int(timing["rounds"])
        return has_rounds and sum(self.rounds_ns) >= float(timing["seconds"]) * 1e9

    def timed(self, turns: int) -> Job:
        name = self.model["name"]
        if self.refused:
            return {"name": name, "refused": self.refused}
        return {
            "name": name,
            "load_ms": self.load_ns / 1e6,
            "first_ms": self.first_ns / 1e6,
            "warm_up_rounds": self.warm_up_rounds,
            "rounds_ms": [nanoseconds / 1e6 for nanoseconds in self.rounds_ns],
            "turns": turns,
            "delegated": _neighbour("operators").delegated(self.interpreter),
        }


class _Feed:
    """The pictures of a model, shown to its input as its table says."""

    def __init__(self, interpreter: Any, model: Job) -> None:
        self.pixels = np.load(model["pixels"], mmap_mode="r", allow_pickle=False)
        self.table = np.load(model["table"], allow_pickle=False)
        self.interpreter, self.index = interpreter, interpreter.get_input_details()[0]["index"]
        self.shown = -1

    def show(self, at: int) -> None:
        if at != self.shown:
            self.picture, self.shown = self.table[self.pixels[at : at + 1]], at
        self.interpreter.set_tensor(self.index, self.picture)


def _is_stable(rounds_ns: list[int]) -> bool:
    before, last = rounds_ns[-2 * WINDOW_ROUNDS : -WINDOW_ROUNDS], rounds_ns[-WINDOW_ROUNDS:]
    return len(before) == WINDOW_ROUNDS and bool(abs(np.median(last) / np.median(before) - 1) < STABLE)


def _take_turns(runs: list[LoadedModel], timing: Job) -> int:
    """How many turns all had, each model with its own number of rounds: what befalls one befalls all."""
    for run in runs:
        wanted = max(timing["rounds"], timing["seconds"] * 1e9 / run.typical_ns)
        most = timing["most_seconds"] * 1e9 / len(runs) / run.typical_ns
        run.turn_rounds = max(1, math.ceil(min(wanted, most) / TURNS))
    start, turns = time.perf_counter(), 0
    while not turns or time.perf_counter() - start < timing["most_seconds"]:
        for run in runs:
            run.take_turn(is_alone=len(runs) == 1)
        turns += 1
        if turns >= TURNS and all(run.has_enough(timing) for run in runs):
            break
    return turns


def _outputs(run: LoadedModel, inferences: int | None) -> Job:
    name = run.model["name"]
    try:
        interpreter = _interpreter(run.job, run.model["file"])
        feed = _Feed(interpreter, run.model)
        to = interpreter.get_output_details()[0]
        rows, pictures = [], len(feed.pixels)
        for at in range(pictures if inferences is None else inferences):
            feed.show(at % pictures)
            _mark(BEGIN)
            interpreter.invoke()
            _mark(END)
            rows.append(interpreter.get_tensor(to["index"]))
    except REFUSALS as error:
        return {"name": name, "refused": _line(error)}
    outputs, (scale, zero_point) = np.concatenate(rows), to["quantization"]
    return {
        "name": name,
        "dtype": outputs.dtype.name,
        "shape": list(outputs.shape),
        "scale": float(scale),
        "zero_point": int(zero_point),
        "delegated": _neighbour("operators").delegated(interpreter),
        "outputs": base64.b64encode(outputs.tobytes()).decode(),
    }


def _mark(which: int) -> None:
    with contextlib.suppress(OSError):  # there is no such process
        os.getsid(which)


def _profiled(job: Job, model: Job) -> Job:
    name, operators = model["name"], _neighbour("operators")
    try:
        if job["runtime"] not in operators.RUNTIMES:
            raise RuntimeError("this runtime cannot profile operators")
        found = operators.profile(model["file"], threads=job["threads"], kernels=job["kernels"])
    except (OSError, AttributeError, *REFUSALS) as error:
        return {"name": name, "refused": _line(error)}
    return {"name": name, "operators": found}


def _neighbour(name: str) -> Any:
    """A file that is copied along with this one; there is no package where they are."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _module(job: Job) -> Any:
    return importlib.import_module(f"{RUNTIMES[job['runtime']]}.interpreter")


def _interpreter(job: Job, file: str) -> Any:
    module = _module(job)
    resolver = getattr(module.OpResolverType, RESOLVERS[job["kernels"]])
    interpreter = module.Interpreter(
        model_path=file, num_threads=job["threads"], experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    return interpreter


def _limit(job: Job) -> None:
    """A model that asks for too much memory is refused by the system; one that never ends is ended."""
    if "patience_seconds" in job and hasattr(signal, "alarm"):
        signal.alarm(int(job["patience_seconds"]) + 1)
    try:
        import resource
    except ModuleNotFoundError:  # not on Windows
        return
    limits = {resource.RLIMIT_AS: job.get("memory_bytes"), resource.RLIMIT_FSIZE: MOST_ANSWER_BYTES}
    for limit, value in {**limits, resource.RLIMIT_CORE: 0}.items():
        hard = resource.getrlimit(limit)[1]
        if value is not None:
            resource.setrlimit(limit, (value if hard < 0 else min(value, hard), hard))


def _private_stdout() -> BinaryIO:
    """Whatever a library prints goes to stderr."""
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return private


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


if __name__ == "__main__":
    main(KINDS)
