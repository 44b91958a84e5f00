"""Files of other programs are named, with what to do about them, by every command that takes a model."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.inference.model_formats import recognize_format
from tests.support.errors import assert_stderr_code

HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(100)
SAVED_GRAPH = b"\x08\x01\x12\xaa\x8b\x02\n"


def zipped(path: Path, member: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "{}")
    return path


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("model.h5", HDF5, "a Keras file"),
        ("model.tflite", HDF5, "a Keras file"),
        ("model.pt", b"\x80\x02\x8a\nl\xfc", "a PyTorch file"),
        ("model.pkl", b"\x80\x04\x95", "a pickle (of PyTorch or scikit-learn?)"),
        ("graph", SAVED_GRAPH, "a SavedModel of TensorFlow"),
        ("model.pb", SAVED_GRAPH, "a SavedModel of TensorFlow"),
        ("model.onnx", b"\x08\x07\x12\x07", "an ONNX file"),
        ("model.tflite", b"a text", None),
        ("model.pt", b"\x1c\0\0\0TFL3", None),
    ],
)
def test_a_file_is_recognized_by_its_bytes_then_its_name(
    tmp_path: Path, name: str, data: bytes, expected: str | None
) -> None:
    found = recognize_format(written(tmp_path / name, data))
    assert (found and found.name) == expected


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("metadata.json", "a Keras file"),
        ("archive/data.pkl", "a PyTorch file"),
        ("skin/LICENSE", "a zip file (a bundle?)"),
    ],
)
def test_a_zip_is_recognized_by_its_first_member(tmp_path: Path, member: str, expected: str) -> None:
    found = recognize_format(zipped(tmp_path / "model", member))
    assert found is not None
    assert found.name == expected


COMMANDS = {
    "convert": ("-o", "{out}", "--labels", "a,b", "--data", "{out}"),
    "inspect": (),
    "predict": ("{model}", "--labels", "a,b"),
    "evaluate": ("{data}", "--labels", "a,b"),
    "benchmark": ("-o", "{out}"),
    "package": ("-o", "{out}.zip", "--labels", "a,b"),
    "verify": (),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["keras", "torch", "saved model", "text"])
def test_every_command_names_what_it_was_given(
    coloured: Path, tmp_path: Path, command: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if (command, kind) in (("convert", "keras"), ("verify", "saved model"), ("verify", "text")):
        pytest.skip("it takes the file, or has a message of its own")
    match kind:
        case "keras":
            path, values = zipped(tmp_path / "m.keras", "metadata.json"), ("Keras", "dermpack convert")
        case "torch":
            path, values = zipped(tmp_path / "m.pt", "archive/data.pkl"), ("PyTorch", "bring-your-own-model")
        case "saved model":
            path, values = tmp_path / "saved", ("SavedModel", "TFLiteConverter")
            written(path / "saved_model.pb", SAVED_GRAPH)
        case _:
            path, values = written(tmp_path / "m.tflite", b"a text, renamed"), ("binary mode", ".tflite")
    options = [one.format(out=tmp_path / "out", model=path, data=coloured) for one in COMMANDS[command]]
    assert main([command, str(path), *options]) == 1
    error = capsys.readouterr().err
    assert_stderr_code(error, "invalid-model", path, *values)
    assert error.count("\n") == 1


def test_a_text_with_the_name_of_a_keras_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "m.keras", b"a text, renamed")
    options = ("-o", str(tmp_path / "out"), "--labels", "a,b", "--data", str(tmp_path))
    is_loaded = "tensorflow" in sys.modules
    assert main(["convert", str(path), *options]) == 1
    assert_stderr_code(capsys.readouterr().err, "invalid-model-file", path, "HDF5")
    assert ("tensorflow" in sys.modules) == is_loaded
