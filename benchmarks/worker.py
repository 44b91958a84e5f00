"""Answer one job about models, in one process: time them, run them, say where they are.

Stands alone, on Python 3.9 or later with numpy and one interpreter: it is copied to where models run.
`python worker.py JOB.json`, in the folder that holds what the job names, prints one JSON object; what
fails is one line on stderr. `benchmarks/jobs.py` writes the jobs.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import importlib
import importlib.util
import json
import os
import signal
import sys
import time
from importlib import metadata
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

MOST_TEXT_BYTES = 1 << 16  # of a file that describes the device

Job = dict[str, Any]


def main() -> None:
    answers = _private_stdout()
    try:
        job = json.loads(Path(sys.argv[1]).read_bytes())
        if job.get("schema") != SCHEMA:
            raise ValueError(f"the job has schema {job.get('schema')}, this worker {SCHEMA}")
        _limit(job)
        answer = KINDS[job["kind"]](job)
    except (OSError, KeyError, IndexError, ImportError, *REFUSALS) as error:
        sys.exit(_line(error))
    answers.write(json.dumps(answer, sort_keys=True).encode())
    answers.flush()


def describe(job: Job) -> Job:
    return {"environment": _environment(job["read"]), "runtimes": _runtimes()}


def time_models(job: Job) -> Job:
    """Load all models, warm them up, then time them in turns: A B A B."""
    runs = [Run(job, model) for model in job["models"]]
    timing, standing = job["timing"], [run for run in runs if run.loads()]
    gc.disable()
    _warm_up(standing, timing["warm_up_seconds"])
    _measure(standing, timing)
    answer = {"models": [run.timed() for run in runs], "environment_after": _environment(job["read"])}
    return {**answer, "peak_bytes": _peak_bytes()}


def answer_models(job: Job) -> Job:
    """The outputs for all pictures, as the model gives them."""
    answers = [_outputs(Run(job, model), None) for model in job["models"]]
    return {"models": answers, "peak_bytes": _peak_bytes()}


def count_models(job: Job) -> Job:
    """The outputs of a few inferences, each between two marks."""
    return {"models": [_outputs(Run(job, model), job["inferences"]) for model in job["models"]]}


def profile_models(job: Job) -> Job:
    why = "no interpreter says here how long an operator takes"
    return {"models": [{"name": model["name"], "refused": why} for model in job["models"]]}


KINDS = {
    "describe": describe,
    "time": time_models,
    "answer": answer_models,
    "count": count_models,
    "profile": profile_models,
}


class Run:
    """A model in its interpreter, what it took to load it, and its rounds."""

    def __init__(self, job: Job, model: Job) -> None:
        self.job, self.model, self.refused = job, model, ""
        self.rounds_ns: list[int] = []
        self.warm_up_rounds = 0

    def loads(self) -> bool:
        """Whether the interpreter takes it; the first inference pages the weights in and is told apart."""
        try:
            start = time.perf_counter_ns()
            self.interpreter = _interpreter(self.job, self.model["file"])
            self.load_ns = time.perf_counter_ns() - start
            self.feed = _Feed(self.interpreter, self.model)
            self.feed.show(0)
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

    def timed(self) -> Job:
        name = self.model["name"]
        if self.refused:
            return {"name": name, "refused": self.refused}
        return {
            "name": name,
            "load_ms": self.load_ns / 1e6,
            "first_ms": self.first_ns / 1e6,
            "warm_up_rounds": self.warm_up_rounds,
            "rounds_ms": [nanoseconds / 1e6 for nanoseconds in self.rounds_ns],
            "delegated": _delegated(self.interpreter),
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


def _warm_up(runs: list[Run], seconds: float) -> None:
    """At least so many seconds each, then until no model's median moves, or it has taken too long."""
    if not runs or seconds <= 0:
        return
    rounds: list[list[int]] = [[] for _ in runs]
    start, least, most = time.perf_counter(), seconds * len(runs), seconds * len(runs) * MOST_WARM_UPS
    while True:
        for at in range(len(runs)):
            rounds[at].append(runs[at].round_ns())
            runs[at].warm_up_rounds += 1
        passed = time.perf_counter() - start
        if passed >= most or (passed >= least and all(_is_stable(of) for of in rounds)):
            return


def _is_stable(rounds_ns: list[int]) -> bool:
    if len(rounds_ns) < 2 * WINDOW_ROUNDS:
        return False
    before, last = rounds_ns[-2 * WINDOW_ROUNDS : -WINDOW_ROUNDS], rounds_ns[-WINDOW_ROUNDS:]
    return bool(abs(np.median(last) / np.median(before) - 1) < STABLE)


def _measure(runs: list[Run], timing: Job) -> None:
    """In turns to the end, so that whatever happens to one happens to all."""
    start, totals = time.perf_counter(), [0] * len(runs)
    while runs and time.perf_counter() - start < timing["most_seconds"]:
        for at in range(len(runs)):
            nanoseconds = runs[at].round_ns()
            runs[at].rounds_ns.append(nanoseconds)
            totals[at] += nanoseconds
        if len(runs[0].rounds_ns) >= timing["rounds"] and min(totals) >= timing["seconds"] * 1e9:
            return


def _outputs(run: Run, inferences: int | None) -> Job:
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
        "outputs": base64.b64encode(outputs.tobytes()).decode(),
    }


def _mark(which: int) -> None:
    with contextlib.suppress(OSError):  # there is no such process
        os.getsid(which)


def _interpreter(job: Job, file: str) -> Any:
    module = importlib.import_module(f"{RUNTIMES[job['runtime']]}.interpreter")
    resolver = getattr(module.OpResolverType, RESOLVERS[job["kernels"]])
    interpreter = module.Interpreter(
        model_path=file, num_threads=job["threads"], experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    return interpreter


def _delegated(interpreter: Any) -> str:
    """What XNNPACK took: it stands as one operator for each part of the graph that it computes."""
    listed: Any = getattr(interpreter, "_get_ops_details", list)()
    delegates = [operator for operator in listed if operator["op_name"] == "DELEGATE"]
    if not delegates:
        return "none"
    own = [operator for operator in listed if operator["op_name"] != "DELEGATE"]
    taken = sum(len(_within(delegate, own)) for delegate in delegates)
    return "all" if taken == len(own) else f"{taken} of {len(own)} operators"


def _within(delegate: Job, own: list[Job]) -> set[int]:
    """The operators between the delegate's inputs and its outputs."""
    makers = {int(tensor): at for at, operator in enumerate(own) for tensor in operator["outputs"]}
    given, wanted, found = set(map(int, delegate["inputs"])), list(map(int, delegate["outputs"])), set()
    while wanted:
        at = makers.get(wanted.pop())
        if at is not None and at not in found:
            found.add(at)
            wanted.extend(int(tensor) for tensor in own[at]["inputs"] if int(tensor) not in given)
    return found


def _runtimes() -> dict[str, str]:
    """The version of each runtime that is installed."""
    found = {}
    for package in RUNTIMES:
        if importlib.util.find_spec(RUNTIMES[package]) is not None:
            try:
                found[package] = metadata.version(package)
            except metadata.PackageNotFoundError:  # copied there, not installed
                found[package] = "of unknown version"
    return found


def _environment(patterns: list[str]) -> Job:
    """What the asked files say, by their paths, and what no file does; what cannot be read is left out."""
    paths = (path for pattern in patterns for path in sorted(Path("/").glob(pattern.lstrip("/"))))
    texts = {str(path): _read(path) for path in paths}
    own = {"machine": os.uname().machine, "kernel": os.uname().release, "cores": str(_cores())}
    versions = {"python": sys.version.split()[0], "numpy": np.__version__}
    return {**own, **versions, **{path: text for path, text in texts.items() if text}}


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_TEXT_BYTES).decode("utf-8", "replace").strip("\0 \n\t")
    except OSError:
        return ""


def _peak_bytes() -> int | None:
    lines = (line.split() for line in _read(Path("/proc/self/status")).splitlines())
    return next((int(line[1]) * 1024 for line in lines if line[0] == "VmHWM:"), None)


def _limit(job: Job) -> None:
    """A model that asks for too much memory is refused by the system; one that never ends is ended."""
    if "patience_seconds" in job and hasattr(signal, "alarm"):
        signal.alarm(int(job["patience_seconds"]) + 1)
    try:
        import resource
    except ModuleNotFoundError:  # not on Windows
        return
    for limit, value in ((resource.RLIMIT_AS, job.get("memory_bytes")), (resource.RLIMIT_CORE, 0)):
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
    main()
