"""Run a file on every installed interpreter, and record on which of them it gives the right result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dermpack.contract import RuntimeResult
from dermpack.errors import count_noun
from dermpack.inference.interpreter_host import Kernels
from dermpack.inference.metadata_rows import Rows
from dermpack.inference.model_files import ModelSettings
from dermpack.inference.picture_feed import Pixels
from dermpack.metrics.intervals import MAX_KERNEL_DIFFERENCE, MEAN_KERNEL_DIFFERENCE
from dermpack.metrics.predictions import Floats
from dermpack.verification.interpreter_runs import KERNEL_NAMES, InterpreterRun, run_everywhere
from dermpack.verification.verify import open_hosts


def try_runtimes(
    data: bytes,
    *,
    where: Path,
    settings: ModelSettings,
    pixels: Pixels,
    metadata: Rows | None = None,
    expected: Floats | None,
) -> tuple[RuntimeResult, ...]:
    """Run the file on each interpreter with each of its kernels, in child processes.

    `expected` are the right probabilities for the pictures, uint8 [n, size, size, 3], and the rows of their
    metadata. Without them, the first interpreter that works is compared with the others.
    """
    with open_hosts() as hosts:
        runs = run_everywhere(
            hosts, data, where=where, sidecar=settings, pixels=pixels, metadata=metadata, threads=1
        )
        order = [(engine, kernels) for engine in hosts for kernels in Kernels]
    if expected is None:
        expected = next((run.outputs for run in runs if run.outputs is not None), None)
    # The contract lists the results by interpreter.
    ordered = sorted(runs, key=lambda run: order.index((run.engine, run.kernels)))
    return tuple(_runtime_result(run, expected) for run in ordered)


def list_working(tried: Sequence[RuntimeResult]) -> list[str]:
    """Return the interpreters on which the file works, with the kernels where not all of them work.

    If only its own kernels fail: ["ai-edge-litert 2.3.0 (XNNPACK)", "tflite-runtime 2.14.0"]
    """
    by_interpreter: dict[str, list[RuntimeResult]] = {}
    for result in tried:
        by_interpreter.setdefault(f"{result.runtime} {result.version}", []).append(result)
    names = []
    for name, results in by_interpreter.items():
        working = [_kernels_name(result) for result in results if result.works]
        if working:
            names.append(name if len(working) == len(results) else f"{name} ({', '.join(working)})")
    return names


def describe_runtime(result: RuntimeResult) -> str:
    """Return the interpreter and its kernels: "ai-edge-litert 2.3.0 (own kernels)"."""
    return f"{result.runtime} {result.version} ({_kernels_name(result)})"


def _kernels_name(result: RuntimeResult) -> str:
    names = {kernels.value: name for kernels, name in KERNEL_NAMES.items()}
    return names.get(result.delegate, result.delegate)


def _runtime_result(run: InterpreterRun, expected: Floats | None) -> RuntimeResult:
    works, result = False, run.problem
    if run.outputs is not None and expected is not None:
        apart = np.abs(run.outputs - expected)
        same = int((run.outputs.argmax(axis=1) == expected.argmax(axis=1)).sum())
        # False for NaN, too.
        works = bool(apart.max() <= MAX_KERNEL_DIFFERENCE and apart.mean() <= MEAN_KERNEL_DIFFERENCE)
        counted = f"{count_noun(len(expected), 'picture')}: the same label on {same}"
        result = f"{counted}, probabilities at most {apart.max():.4f} apart"
    return RuntimeResult(
        runtime=run.engine.package,
        version=run.version,
        delegate=run.kernels.value,
        works=works,
        result=result,
    )
