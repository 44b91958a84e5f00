"""Run a file on every interpreter that is installed, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np

from converter.recipes import Recipe
from converter.source import Source
from dermpack.contract import RuntimeResult
from dermpack.errors import InputError
from dermpack.runtime import Engine, Sidecar, open_classifier
from dermpack.runtime.engine import installed
from dermpack.scores.predictions import Floats

PICTURES = 16  # of the validation split: an interpreter without fast kernels takes 50 ms for one
PACKAGES = {Engine.TFLITE_RUNTIME: "tflite-runtime", Engine.LITERT: "ai-edge-litert"}
DELEGATE = "xnnpack"  # what both interpreters choose unasked, where it can take the operators
ALLOWED = {  # between probabilities on two interpreters
    Recipe.FLOAT32: 1e-4,
    Recipe.FLOAT16: 1e-3,  # some compute in half precision, too
    Recipe.DYNAMIC: 5e-2,  # each rounds activations in its own way, anew for each picture
    Recipe.INT8: 1 / 256 + 1e-6,  # one step
    Recipe.INT16X8: 1e-3,
}


def try_runtimes(path: Path, source: Source, recipe: Recipe, expected: Floats) -> tuple[RuntimeResult, ...]:
    """What becomes of the file on each; `expected` are its probabilities as they were scored."""
    return tuple(_tried(path, source, recipe, expected[:PICTURES]))


def _tried(path: Path, source: Source, recipe: Recipe, expected: Floats) -> Iterator[RuntimeResult]:
    rows = np.asarray(source.validation.copies[0][: len(expected)])
    sidecar = Sidecar(labels=source.run.classes)
    for engine in installed():
        try:
            with open_classifier(path, sidecar=sidecar, engine=engine) as classifier:
                found = classifier.classify(rows)
        except InputError as error:
            yield _result(engine, works=False, result=error.what)
        else:
            apart = float(np.abs(found - expected).max())
            same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
            said = f"{len(found)} pictures: the same label on {same}, probabilities at most {apart:.5f} apart"
            yield _result(engine, works=apart <= ALLOWED[recipe], result=said)


def _result(engine: Engine, *, works: bool, result: str) -> RuntimeResult:
    package = PACKAGES[engine]
    return RuntimeResult(
        runtime=package, version=version(package), delegate=DELEGATE, works=works, result=result
    )
