"""Run a file on every interpreter, with each of its kernels, in processes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from dermpack.errors import InputError
from dermpack.imaging import Pixels
from dermpack.inference import InterpreterHost, Kernels, ModelSettings, Runtime, classifier_on
from dermpack.metrics.predictions import Floats

CHUNK = 16  # pictures in one message to the interpreter


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InterpreterRun:
    """What became of the file; outputs are None where a problem is."""

    engine: Runtime
    kernels: Kernels
    version: str
    outputs: Floats | None
    is_delegated: bool  # whether XNNPACK took any part of the graph
    problem: str
    problem_code: str = ""  # the error code of the problem

    def __str__(self) -> str:
        how = "XNNPACK" if self.kernels is Kernels.XNNPACK else "own kernels"
        return f"{self.engine.package} {self.version}, {how}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InterpreterTask:
    """A file, and the pictures that it is run on: uint8 [n, size, size, 3]."""

    model: bytes
    where: Path
    sidecar: ModelSettings
    pixels: Pixels
    threads: int


def run_everywhere(
    task: InterpreterTask, hosts: Mapping[Runtime, InterpreterHost]
) -> tuple[InterpreterRun, ...]:
    """The interpreter's own kernels first: they are what the others are held against."""
    pairs = [(hosts[engine], kernels) for kernels in (Kernels.BUILTIN, Kernels.XNNPACK) for engine in hosts]
    return tuple(_ran(task, host, kernels) for host, kernels in pairs)


def _ran(task: InterpreterTask, host: InterpreterHost, kernels: Kernels) -> InterpreterRun:
    outputs, is_delegated, problem, problem_code = None, False, "", ""
    try:
        outputs, is_delegated = _outputs(task, host, kernels)
    except InputError as error:
        problem, problem_code = error.what, error.code
    return InterpreterRun(
        engine=host.engine,
        kernels=kernels,
        version=version(host.engine.package),
        outputs=outputs,
        is_delegated=is_delegated,
        problem=problem,
        problem_code=problem_code,
    )


def _outputs(task: InterpreterTask, host: InterpreterHost, kernels: Kernels) -> tuple[Floats, bool]:
    """What the file says, and whether XNNPACK took any part of it."""
    where, pixels = task.where, task.pixels
    classifier = classifier_on(
        host, task.model, where=where, sidecar=task.sidecar, threads=task.threads, kernels=kernels
    )
    size = pixels.shape[1]
    if classifier.size != size:
        what = f"input size is {classifier.size} px, but the contract says {size} px"
        raise InputError(where, what, "Export the model again.", code="contract-mismatch")
    starts = range(0, len(pixels), CHUNK)
    outputs = np.concatenate([classifier.classify(pixels[at : at + CHUNK]) for at in starts])
    return outputs, classifier.is_delegated
