"""One process takes many models, and is started again only after it died."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from dermpack.inference.classifier import load_classifier
from dermpack.inference.interpreter_host import (
    InterpreterHost,
    Kernels,
    Runtime,
    installed_runtimes,
    open_host,
)
from dermpack.inference.model_files import ModelSettings
from tests.support.errors import raises_code
from tests.support.tflite_models import LABELS, SIZE, float_model, integer_model

pytestmark = pytest.mark.tensorflow
SIDECAR = ModelSettings(labels=LABELS)
WHERE = Path("model.tflite")
PIXELS = np.full((2, SIZE, SIZE, 3), 200, np.uint8)
each_engine = pytest.mark.parametrize("engine", installed_runtimes(), ids=lambda engine: engine.value)


def probabilities(
    host: InterpreterHost, model: bytes, kernels: Kernels = Kernels.XNNPACK
) -> list[list[float]]:
    found = load_classifier(host, model, where=WHERE, sidecar=SIDECAR, kernels=kernels).classify(PIXELS)
    return [[round(value, 1) for value in row] for row in found]


@each_engine
def test_models_follow_each_other_in_one_process(engine: Runtime) -> None:
    with open_host(engine) as host:
        first = probabilities(host, float_model())
        probabilities(host, integer_model("uint8"))
        assert probabilities(host, float_model()) == first
        assert host.starts == 1


@each_engine
def test_a_refusal_does_not_end_the_process(engine: Runtime) -> None:
    with open_host(engine) as host:
        worker = host.load(float_model(), where=WHERE, threads=1)
        with raises_code("interpreter-failed", WHERE):
            worker.run({"picture": b"half a picture"})
        probabilities(host, float_model())
        assert host.starts == 1


@each_engine
def test_a_dead_process_is_started_again(engine: Runtime) -> None:
    with open_host(engine) as host:
        classifier = load_classifier(host, float_model(), where=WHERE, sidecar=SIDECAR)
        os.kill(classifier._session.pid, signal.SIGSEGV)
        with raises_code("interpreter-died", WHERE, "SIGSEGV"):
            classifier.classify(PIXELS)
        probabilities(host, float_model())
        assert host.starts == 2


@each_engine
def test_the_interpreters_own_kernels_can_be_asked_for(engine: Runtime) -> None:
    with open_host(engine) as host:
        chosen = load_classifier(host, float_model(), where=WHERE, sidecar=SIDECAR)
        assert chosen.is_delegated
        own = load_classifier(host, float_model(), where=WHERE, sidecar=SIDECAR, kernels=Kernels.BUILTIN)
        assert not own.is_delegated


def test_a_host_has_a_patience_of_its_own() -> None:
    less_than_a_start = 0.001
    with (
        open_host(Runtime.LITERT, patience_seconds=less_than_a_start) as host,
        raises_code("interpreter-timeout", WHERE, 0.001),
    ):
        probabilities(host, float_model())
