"""Metadata that is written is read back, and the network stays what it was."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import (
    Metadata,
    ScoreCalibration,
    Sigmoid,
    Transformation,
    temperature_calibration,
)
from dermpack.tflite.reading import read_model
from tests.support import flatbuffer_models as made
from tests.support.errors import raises_code

UNKNOWN_OPTIONS = 250  # of an operator of the future
LABELS = ("akiec", "mélanome", "nv")
FULL = Metadata(
    name="lesions",
    description="Three labels.",
    version="1.2.0",
    author="somebody",
    licence="CC0",
    labels=LABELS,
    mean=(127.5,),
    std=(127.5,),
    lowest=(-1.0,),
    highest=(1.0,),
    score_threshold=0.25,
    calibration=ScoreCalibration(
        transformation=Transformation.LOG,
        sigmoids=tuple(Sigmoid(scale=1.0, slope=0.5 * at, offset=-1.0) for at in range(3)),
        default_score=0.5,
    ),
)


def read_back(data: bytes) -> Metadata:
    metadata = read_model(data, where="model.tflite").metadata
    assert metadata is not None
    return metadata


def test_metadata_is_read_back_as_it_was_written() -> None:
    result = read_back(with_metadata(made.model(), FULL))
    assert result == replace(FULL, files=("labels.txt", "score_calibration.txt"), min_parser_version="1.0.0")


def test_a_name_alone_is_enough() -> None:
    assert read_back(with_metadata(made.model(), Metadata(name="x"))).labels == ()


def test_the_same_metadata_gives_the_same_bytes_and_can_be_written_again() -> None:
    once = with_metadata(made.model(), FULL)
    assert once == with_metadata(made.model(), FULL)
    assert once == with_metadata(once, FULL)


def test_other_metadata_replaces_the_old() -> None:
    data = with_metadata(with_metadata(made.model(), FULL), Metadata(name="other", labels=("a", "b", "c")))
    result = read_back(data)
    assert (result.name, result.labels, result.calibration) == ("other", ("a", "b", "c"), None)
    assert data == with_metadata(made.model(), Metadata(name="other", labels=("a", "b", "c")))


def test_labels_stand_uncompressed_at_the_end_of_the_file() -> None:
    data = with_metadata(made.model(), FULL)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        labels = archive.getinfo("labels.txt")
        assert archive.read(labels).decode() == "".join(f"{label}\n" for label in LABELS)
        assert labels.compress_type == zipfile.ZIP_STORED
        assert labels.date_time == (1980, 1, 1, 0, 0, 0)
        assert data[labels.header_offset :].startswith(b"PK\3\4")  # counted from the start of the file
    directory_at = int.from_bytes(data[-6:-2], "little")
    assert data[directory_at:].startswith(b"PK\1\2")


def test_sigmoids_end_without_a_newline_as_mediapipe_requires() -> None:
    with zipfile.ZipFile(io.BytesIO(with_metadata(made.model(), FULL))) as archive:
        text = archive.read("score_calibration.txt").decode()
    assert text == "1.0,0.0,-1.0\n1.0,0.5,-1.0\n1.0,1.0,-1.0"


def test_constants_stand_at_multiples_of_sixteen() -> None:
    weights = made.tensor("weights", (4, 3), "int8", steps=(0.1, 0), buffer=1)
    bias = made.tensor("bias", (5,), "int32", buffer=2)
    constants = [bytes(range(12)), bytes(range(100, 120))]
    data = made.model([made.picture(), made.scores(), weights, bias], constants=constants)
    answer = with_metadata(data, FULL)
    assert [answer.find(constant) % 16 for constant in constants] == [0, 0]


def test_only_the_metadata_changes() -> None:
    data = made.model(operators=[(made.SOFTMAX, 2, ""), (made.CUSTOM, 1, "Mine")])
    before, after = (read_model(item, where="model.tflite") for item in (data, with_metadata(data, FULL)))
    kept = replace(after, metadata=None, size_bytes=before.size_bytes, shares=before.shares)
    assert kept == before


def test_labels_must_be_as_many_as_outputs() -> None:
    with raises_code("labels-mismatch", "[3] outputs", "2 labels"):
        with_metadata(made.model(), replace(FULL, labels=("a", "b"), calibration=None))


def test_a_label_of_two_lines_is_refused() -> None:
    with raises_code("invalid-labels", repr("b\nc")):
        with_metadata(made.model(), replace(FULL, labels=("a", "b\nc", "d")))


def test_each_label_needs_a_sigmoid() -> None:
    with raises_code("labels-mismatch", "3 labels", "2 score calibrations"):
        with_metadata(made.model(), replace(FULL, calibration=temperature_calibration(2, 1.5)))


def test_two_inputs_are_refused() -> None:
    data = made.model([made.picture(), made.scores(), made.picture(name="other")], inputs=[0, 2])
    with raises_code("unsupported-model", "2 inputs"):
        with_metadata(data, FULL)


def test_unknown_operator_options_are_refused() -> None:
    with raises_code("unsupported-model", "options"):
        with_metadata(made.model(options=UNKNOWN_OPTIONS), FULL)


def test_labels_that_are_named_but_missing_are_an_error() -> None:
    data = with_metadata(made.model(), FULL)
    cut = data[: data.index(b"PK\3\4")]
    with raises_code("invalid-model", "associated files"):
        read_model(cut, where="model.tflite")


def test_a_zip_bomb_is_refused() -> None:
    data = with_metadata(made.model(), FULL)
    stream = io.BytesIO()
    stream.write(data[: data.index(b"PK\3\4")])
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", bytes(64 << 20))
    with raises_code("invalid-model", "labels.txt", 1 << 20):
        read_model(stream.getvalue(), where="model.tflite")


def test_a_temperature_is_a_sigmoid_that_keeps_the_order() -> None:
    sigmoid = temperature_calibration(2, 2.0).sigmoids[0]
    assert (sigmoid.scale, sigmoid.slope, sigmoid.offset) == (1.0, 0.5, 0.0)
