"""A .tflite runs as in TensorFlow, on either interpreter, and cannot take the program down."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermpack.errors import InputError
from dermpack.inference.classifier import Classifier, open_classifier
from dermpack.inference.interpreter_host import Runtime, installed_runtimes
from dermpack.inference.model_files import ModelSettings
from tests.support.errors import raises_code
from tests.support.tflite_models import LABELS, SIZE, float_model, graph, integer_model

pytestmark = pytest.mark.tensorflow
SIDECAR = ModelSettings(labels=LABELS)
each_engine = pytest.mark.parametrize("engine", installed_runtimes(), ids=lambda engine: engine.value)


def pictures(n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    generator = np.random.default_rng(3)
    noise = generator.integers(0, 60, size=(n, SIZE, SIZE, 3))
    return (noise + np.linspace(0, 195, n).astype(np.int64)[:, None, None, None]).astype(np.uint8)


def expected(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[list[float]]:
    real = (pixels / 127.5 - 1).astype(np.float32)
    name = next(iter(graph().structured_input_signature[1]), "pictures")
    return [np.array(graph()(**{name: real[at : at + 1]})).ravel().tolist() for at in range(len(real))]


def written(folder: Path, data: bytes) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return path


@each_engine
def test_a_float_model_gives_the_outputs_of_tensorflow(tmp_path: Path, engine: Runtime) -> None:
    pixels = pictures(5)
    with open_classifier(written(tmp_path, float_model()), sidecar=SIDECAR, engine=engine) as classifier:
        assert classifier.classify(pixels) == pytest.approx(np.array(expected(pixels)), abs=1e-5)


@each_engine
@pytest.mark.parametrize("number", ["uint8", "int8"])
def test_an_integer_model_gives_nearly_the_outputs_of_tensorflow(
    tmp_path: Path, engine: Runtime, number: str
) -> None:
    pixels = pictures(5)
    path = written(tmp_path, integer_model(number))
    with open_classifier(path, sidecar=SIDECAR, engine=engine) as classifier:
        assert classifier.input.number.value == number
        assert classifier.classify(pixels) == pytest.approx(np.array(expected(pixels)), abs=0.05)


def test_files_give_what_their_pixels_give_in_their_order(tmp_path: Path) -> None:
    pixels = pictures(37)
    files = [tmp_path / f"{at}.png" for at in range(37)]
    for file, picture in zip(files, pixels, strict=True):
        Image.fromarray(picture).save(file)
    with open_classifier(written(tmp_path, float_model()), sidecar=SIDECAR, threads=2) as classifier:
        assert np.array_equal(classifier(files), classifier.classify(pixels))


def test_any_number_of_pictures_gives_what_each_gives_alone(tmp_path: Path) -> None:
    pixels = pictures(37)
    with open_classifier(written(tmp_path, float_model()), sidecar=SIDECAR) as classifier:
        alone = [classifier.classify(picture[None]) for picture in pixels]
        assert np.array_equal(classifier.run_all(pixels).probabilities, np.concatenate(alone))


def test_no_files_give_no_rows(tmp_path: Path) -> None:
    with open_classifier(written(tmp_path, float_model()), sidecar=SIDECAR) as classifier:
        assert classifier([]).shape == (0, 3)


def test_a_temperature_softens_and_keeps_the_order(tmp_path: Path) -> None:
    path, pixels = written(tmp_path, float_model()), pictures(5)
    with open_classifier(path, sidecar=SIDECAR) as plain:
        before = plain.classify(pixels)
    with open_classifier(path, sidecar=ModelSettings(labels=LABELS, temperature=2.0)) as softened:
        after = softened.classify(pixels)
    roots = np.sqrt(before)
    assert after == pytest.approx(roots / roots.sum(axis=1, keepdims=True))


def test_outputs_are_those_that_the_temperature_was_fitted_for(tmp_path: Path) -> None:
    path, pixels = written(tmp_path, integer_model("uint8")), pictures(5)
    floor = 0.25  # higher than it ever is: some outputs lie below it
    with open_classifier(path, sidecar=SIDECAR) as plain:
        before = plain.classify(pixels)
    with open_classifier(
        path, sidecar=ModelSettings(labels=LABELS, temperature=1.7, floor=floor)
    ) as calibrated:
        after = calibrated.classify(pixels)
    raised = np.maximum(before, floor) ** (1 / 1.7)
    assert (before < floor).any()
    assert after == pytest.approx(raised / raised.sum(axis=1, keepdims=True), abs=1e-12)


def test_a_picture_that_does_not_decode_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with (
        open_classifier(written(tmp_path, float_model()), sidecar=SIDECAR) as classifier,
        raises_code("picture-not-a-picture", broken),
    ):
        classifier([broken])


def test_labels_that_do_not_fit_the_outputs_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, float_model())
    with (
        raises_code("labels-mismatch", path, 3, 2),
        open_classifier(path, sidecar=ModelSettings(labels=("a", "b"))),
    ):
        pass


def test_the_death_of_the_interpreter_is_one_line(tmp_path: Path) -> None:
    with open_classifier(written(tmp_path, float_model()), sidecar=SIDECAR) as classifier:
        os.kill(worker_of(classifier), signal.SIGSEGV)
        with raises_code("interpreter-died", "model.tflite", "SIGSEGV") as caught:
            classifier.classify(pictures(1))
    assert "\n" not in str(caught.value)


def test_an_interpreter_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_classifier(written(tmp_path, float_model()), sidecar=SIDECAR) as classifier:
        monkeypatch.setattr("dermpack.inference.interpreter_host.PATIENCE_SECONDS", 0.05)
        os.kill(worker_of(classifier), signal.SIGSTOP)
        with raises_code("interpreter-timeout", "model.tflite", 0.05):
            classifier.classify(pictures(1))


def test_no_process_outlives_its_block(tmp_path: Path) -> None:
    with open_classifier(written(tmp_path, float_model()), sidecar=SIDECAR) as classifier:
        pid = worker_of(classifier)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@each_engine
@pytest.mark.parametrize("seed", range(6))
def test_a_mutated_model_runs_or_is_refused(tmp_path: Path, seed: int, engine: Runtime) -> None:
    generator = np.random.default_rng(seed)
    data = bytearray(float_model())
    for at in generator.integers(8, len(data), size=30):
        data[at] = generator.integers(256)
    try:
        with open_classifier(written(tmp_path, bytes(data)), sidecar=SIDECAR, engine=engine) as classifier:
            assert classifier.classify(pictures(1)).shape == (1, 3)
    except InputError as error:
        assert "model.tflite" in str(error)


def worker_of(classifier: Classifier) -> int:
    return classifier._session.pid
