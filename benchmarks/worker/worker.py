"""Run one job about models in one process: time them, run them, profile them, or describe the machine.

This file is self-contained: it is copied to the target and needs Python 3.9, numpy and one interpreter.
`python worker.py JOB.json`, in the folder with the files of the job, prints one JSON object; a failure is one
line on stderr. `benchmarks/protocol/jobs.py` writes the jobs; `operators.py` is copied next to this file.
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
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA = 1
RUNTIMES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
RESOLVERS = {"xnnpack": "AUTO", "none": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}
REFUSALS = (ValueError, RuntimeError, TypeError, MemoryError, OverflowError, LookupError, SystemError)
# Marks for the emulator: a harmless system call with these arguments before and after each counted inference.
BEGIN, END = 0x7E570001, 0x7E570002  # larger than any process id
WINDOW_ROUNDS = 10
STABLE = 0.03  # warm: the medians of two consecutive windows differ by less
MOST_WARM_UPS = 6  # a warm-up that does not become stable ends after its seconds times this
# Models take turns of many rounds: after every single round of another model, its weights would fill the
# caches and its threads would still spin (a model of 0.29 ms took 0.49 ms, with two threads 12 ms).
TURNS = 25
# Rounds of one model and of one job: a report is a JSON file that must be read again.
MOST_ROUNDS, MOST_JOB_ROUNDS = 1_000_000, 4_000_000
SETTLE_SECONDS = 0.01  # of untimed rounds when a model's turn begins
MOST_ANSWER_BYTES = 1 << 30  # a model may corrupt the process that runs it
MEMORY_SHARE = 0.75  # of this machine's memory, as in dermpack/processes/limits.py
LEAST_MEMORY_BYTES = 1 << 30
MOST_TEXT_BYTES = 1 << 16  # /proc/cpuinfo is the longest
STATUS, PEAK = "/proc/self/status", "VmHWM:"

Job = dict[str, Any]
Kinds = Mapping[str, Callable[[Job], Job]]


def main(kinds: Kinds) -> None:
    """Read the job that the command line names, and print the answer of its kind."""
    # stdout is for the answer only: whatever a library prints goes to stderr from now on.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        job = json.loads(Path(sys.argv[1]).read_bytes())
        if job.get("schema") != SCHEMA:
            raise ValueError(f"the job has schema {job.get('schema')}, this worker supports {SCHEMA}")
        _limit_process(job)
        answer = kinds[job["kind"]](job)
    except (OSError, KeyError, IndexError, ImportError, *REFUSALS) as error:
        sys.exit(_one_line(error))
    answers.write(json.dumps(answer, sort_keys=True).encode())
    answers.flush()


def _limit_process(job: Job) -> None:
    """Limit the memory and the time of this process by means of the system."""
    if "patience_seconds" in job and hasattr(signal, "alarm"):
        signal.alarm(int(job["patience_seconds"]) + 1)
    try:
        import resource
    except ModuleNotFoundError:  # on Windows
        return
    memory_bytes = job.get("memory_bytes")
    if memory_bytes is not None and "SC_PHYS_PAGES" in os.sysconf_names:
        installed_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        memory_bytes = min(memory_bytes, max(int(MEMORY_SHARE * installed_bytes), LEAST_MEMORY_BYTES))
    limits = {resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_FSIZE: MOST_ANSWER_BYTES}
    for limit, value in {**limits, resource.RLIMIT_CORE: 0}.items():
        hard = resource.getrlimit(limit)[1]
        if value is not None:
            resource.setrlimit(limit, (value if hard < 0 else min(value, hard), hard))


def describe(job: Job) -> Job:
    """Return the facts about the machine and the versions of its runtimes."""
    versions = {}
    for package, module in RUNTIMES.items():
        if importlib.util.find_spec(module) is not None:
            try:
                versions[package] = metadata.version(package)
            except metadata.PackageNotFoundError:  # copied there without pip
                versions[package] = "of unknown version"
    return {"environment": read_environment(job["read"]), "runtimes": versions}


def read_environment(patterns: list[str]) -> dict[str, str]:
    """Return the contents of the files that match, by path, and what no file contains."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    own = {"machine": os.uname().machine, "kernel": os.uname().release, "cores": str(cores)}
    versions = {"python": sys.version.split()[0], "numpy": np.__version__}
    paths = (path for pattern in patterns for path in sorted(Path("/").glob(pattern.lstrip("/"))))
    texts = {str(path): _read_file(path) for path in paths}
    return {**own, **versions, **{path: text for path, text in texts.items() if text}}


def _read_file(path: Path) -> str:
    """Return the text of a file, empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_TEXT_BYTES).decode("utf-8", "replace").strip("\0 \n\t")
    except OSError:
        return ""


def time_models(job: Job) -> Job:
    """Load all models, warm each up, then time them in turns: A … A B … B A … A B … B."""
    runs: dict[str, LoadedModel] = {}
    entries: dict[str, Job] = {model["name"]: {} for model in job["models"]}
    for model in job["models"]:
        try:
            runs[model["name"]] = LoadedModel(job, model)
        except REFUSALS as error:
            entries[model["name"]] = {"refused": _one_line(error)}
    gc.disable()
    for run in runs.values():
        run.warm_up(job["timing"]["warm_up_seconds"])
    turns = _take_turns(list(runs.values()), job["timing"])
    entries.update({name: run.result(turns) for name, run in runs.items()})
    models = [{"model": name, **entry} for name, entry in entries.items()]
    # The peak of the process, in kB in a line like "VmHWM:   123456 kB".
    lines = (line.split() for line in _read_file(Path(STATUS)).splitlines())
    peak_bytes = next((int(line[1]) * 1024 for line in lines if line and line[0] == PEAK), None)
    after = read_environment(job["read"])
    return {"models": models, "environment_after": after, "peak_bytes": peak_bytes}


class LoadedModel:
    """A model in its interpreter, the time to load it, and its rounds."""

    def __init__(self, job: Job, model: Job) -> None:
        """Load the model and run it once; one of REFUSALS if the interpreter does not support it."""
        self.model, self.rounds_ns = model, list[int]()
        _import_interpreter(job)  # not part of the time to load a model
        start = time.perf_counter_ns()
        self.interpreter = _create_interpreter(job, model["file"])
        self.load_ns = time.perf_counter_ns() - start
        self.feed = _Feed(self.interpreter, model)
        self.answer_index = bind_tensors(self.interpreter, model)[1][model["answer"]]["index"]
        self.first_ns = self.round_ns()  # reported separately: it pages the weights in

    def round_ns(self) -> int:
        """Time one inference, without copying the picture into the input."""
        self.feed.show(0)
        start = time.perf_counter_ns()
        self.interpreter.invoke()
        return time.perf_counter_ns() - start

    def warm_up(self, seconds: float) -> None:
        """Run for the given time, then until the median is stable or a multiple of that time has passed."""
        rounds: list[int] = []
        start = time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds * MOST_WARM_UPS:
            before, last = rounds[-2 * WINDOW_ROUNDS : -WINDOW_ROUNDS], rounds[-WINDOW_ROUNDS:]
            has_windows = passed >= seconds and len(before) == WINDOW_ROUNDS
            if has_windows and abs(np.median(last) / np.median(before) - 1) < STABLE:
                break
            rounds.append(self.round_ns())
        self.warm_up_rounds = len(rounds)
        self.typical_ns = float(np.median(rounds[-WINDOW_ROUNDS:] or [self.first_ns]))

    def result(self, turns: int) -> Job:
        return {
            "load_ms": self.load_ns / 1e6,
            "first_ms": self.first_ns / 1e6,
            "warm_up_rounds": self.warm_up_rounds,
            "rounds_ms": [nanoseconds / 1e6 for nanoseconds in self.rounds_ns],
            "turns": turns,
            "delegated": _import_operators().delegated(self.interpreter),
        }


class _Feed:
    """The prepared pictures, mapped to the values of a model's input by its table."""

    def __init__(self, interpreter: Any, model: Job) -> None:
        self.pixels = np.load(model["pixels"], mmap_mode="r", allow_pickle=False)
        self.table = np.load(model["table"], allow_pickle=False)
        self.interpreter, self.model, self.shown = interpreter, model, -1
        inputs, _ = bind_tensors(interpreter, model)
        self.index = inputs[model["picture"]]["index"]
        self.others = [
            (inputs[name]["index"], np.array(row, inputs[name]["dtype"]).reshape(inputs[name]["shape"]))
            for name, row in model["others"].items()
        ]

    def show(self, number: int) -> None:
        if number != self.shown:
            self.picture, self.shown = self.prepare(self.pixels[number : number + 1]), number
        self.copy(self.picture)

    def prepare(self, pixels: Any) -> Any:
        """Return the input numbers of pictures, uint8 RGB [n, height, width, 3]."""
        pixels = pixels[..., ::-1] if self.model["color"] == "BGR" else pixels
        numbers = self.table[pixels] if self.table.ndim == 1 else self.table[np.arange(3), pixels]
        return numbers.transpose(0, 3, 1, 2) if self.model["layout"] == "NCHW" else numbers

    def copy(self, picture: Any) -> None:
        """Copy the numbers of a picture and those of all other inputs into the interpreter."""
        self.interpreter.set_tensor(self.index, picture)
        for index, row in self.others:
            self.interpreter.set_tensor(index, row)


def bind_tensors(interpreter: Any, model: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the details of inputs and outputs by name: those of the signature, or of the only tensors."""
    if model["signature"] is None:
        (picture,), (answer, *_) = interpreter.get_input_details(), interpreter.get_output_details()
        return {model["picture"]: picture}, {model["answer"]: answer}
    runner = interpreter.get_signature_runner(model["signature"])
    return runner.get_input_details(), runner.get_output_details()


def _take_turns(runs: list[LoadedModel], timing: Job) -> int:
    """Run all models in turns and return the number of turns, which is the same for all.

    Each model has its own number of rounds in a turn; a disturbance of the machine affects all models.
    """
    rounds_of_turn, most_rounds = {}, min(MOST_ROUNDS, MOST_JOB_ROUNDS // max(len(runs), 1))
    for run in runs:
        wanted = max(timing["rounds"], timing["seconds"] * 1e9 / run.typical_ns)
        most = timing["most_seconds"] * 1e9 / len(runs) / run.typical_ns
        rounds_of_turn[run] = max(1, math.ceil(min(wanted, most, most_rounds - TURNS) / TURNS))
    start, turns = time.perf_counter(), 0
    while not turns or time.perf_counter() - start < timing["most_seconds"]:
        for run, rounds in rounds_of_turn.items():
            turn_start = time.perf_counter()
            while len(runs) > 1 and time.perf_counter() - turn_start < SETTLE_SECONDS:
                run.round_ns()
            run.rounds_ns += [run.round_ns() for _ in range(rounds)]
        turns += 1
        if any(len(run.rounds_ns) + rounds > most_rounds for run, rounds in rounds_of_turn.items()):
            break
        seconds = timing["seconds"]
        have_enough = (
            len(run.rounds_ns) >= timing["rounds"] and sum(run.rounds_ns) >= seconds * 1e9 for run in runs
        )
        if turns >= TURNS and all(have_enough):
            break
    return turns


def run_models(run: Callable[[Job, Job], Job], job: Job) -> Job:
    """Return what `run` answers for each model, or why it refuses the model."""
    models = []
    for model in job["models"]:
        try:
            entry = run(job, model)
        except (OSError, AttributeError, *REFUSALS) as error:
            entry = {"refused": _one_line(error)}
        models.append({"model": model["name"], **entry})
    return {"models": models}


def answer_model(job: Job, model: Job) -> Job:
    """Return the raw outputs for all pictures or, to count them, of a few inferences, each between marks."""
    interpreter = _create_interpreter(job, model["file"])
    feed = _Feed(interpreter, model)
    output = bind_tensors(interpreter, model)[1][model["answer"]]
    rows, pictures = [], len(feed.pixels)
    for number in range(job.get("inferences", pictures)):
        feed.show(number % pictures)
        _mark(BEGIN)
        interpreter.invoke()
        _mark(END)
        rows.append(interpreter.get_tensor(output["index"]))
    outputs, (scale, zero_point) = np.concatenate(rows), output["quantization"]
    return {
        "dtype": outputs.dtype.name,
        "shape": list(outputs.shape),
        "scale": float(scale),
        "zero_point": int(zero_point),
        "delegated": _import_operators().delegated(interpreter),
        "outputs": base64.b64encode(outputs.tobytes()).decode(),
    }


def _mark(argument: int) -> None:
    with contextlib.suppress(OSError):  # no process has that id
        os.getsid(argument)


def profile_model(job: Job, model: Job) -> Job:
    """Return how the time of an inference is divided among the operators."""
    operators = _import_operators().profile(model["file"], threads=job["threads"], kernels=job["kernels"])
    return {"operators": operators}


def _import_operators() -> Any:
    """Import operators.py from the folder of this file, because there is no package on the target."""
    spec = importlib.util.spec_from_file_location("operators", Path(__file__).with_name("operators.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _create_interpreter(job: Job, file: str) -> Any:
    module = _import_interpreter(job)
    resolver = getattr(module.OpResolverType, RESOLVERS[job["kernels"]])
    interpreter = module.Interpreter(
        model_path=file, num_threads=job["threads"], experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    return interpreter


def _import_interpreter(job: Job) -> Any:
    return importlib.import_module(f"{RUNTIMES[job['runtime']]}.interpreter")


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


KINDS: Kinds = {
    "describe": describe,
    "time": time_models,
    "answer": partial(run_models, answer_model),
    "count": partial(run_models, answer_model),
    "profile": partial(run_models, profile_model),
}

if __name__ == "__main__":
    main(KINDS)
