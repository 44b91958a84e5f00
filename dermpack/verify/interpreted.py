"""Run a file on every interpreter, with each of its kernels, in processes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from dermpack.errors import InputError
from dermpack.pixels import Pixels
from dermpack.runtime import Engine, Host, Kernels, Sidecar, classifier_on
from dermpack.scores.predictions import Floats

CHUNK = 16  # pictures in one message to the interpreter


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ran:
    """What became of the file; outputs are None where a problem is."""

    engine: Engine
    kernels: Kernels
    version: str
    outputs: Floats | None
    is_delegated: bool  # whether XNNPACK took any part of the graph
    problem: str

    def __str__(self) -> str:
        how = "XNNPACK" if self.kernels is Kernels.XNNPACK else "own kernels"
        return f"{self.engine.package} {self.version}, {how}"


def run_everywhere(
    model: bytes,
    *,
    where: Path,
    hosts: Mapping[Engine, Host],
    sidecar: Sidecar,
    pixels: Pixels,
    threads: int,
) -> tuple[Ran, ...]:
    """The interpreter's own kernels first: they are what the others are held against."""
    pairs = [(engine, kernels) for kernels in (Kernels.BUILTIN, Kernels.XNNPACK) for engine in hosts]
    return tuple(
        _ran(hosts[engine], kernels, model, where, sidecar, pixels, threads) for engine, kernels in pairs
    )


def _ran(
    host: Host,
    kernels: Kernels,
    model: bytes,
    where: Path,
    sidecar: Sidecar,
    pixels: Pixels,
    threads: int,
) -> Ran:
    outputs, is_delegated, problem = None, False, ""
    try:
        classifier = classifier_on(
            host, model, where=where, sidecar=sidecar, threads=threads, kernels=kernels
        )
        if classifier.size != pixels.shape[1]:
            size = pixels.shape[1]
            raise InputError(where, f"takes pictures of {classifier.size} px, not {size}", "export it again")
        starts = range(0, len(pixels), CHUNK)
        outputs = np.concatenate([classifier.classify(pixels[at : at + CHUNK]) for at in starts])
        is_delegated = classifier.is_delegated
    except InputError as error:
        problem = error.what
    return Ran(
        engine=host.engine,
        kernels=kernels,
        version=version(host.engine.package),
        outputs=outputs,
        is_delegated=is_delegated,
        problem=problem,
    )
