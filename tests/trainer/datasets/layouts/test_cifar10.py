"""CIFAR-10 is read from every published format, and no pickle can execute anything."""

from __future__ import annotations

import builtins
import os
import pickle
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dermpack.dataset.manifest import Split
from dermpack.errors import TableError
from tests.support import picture_sources as sources
from tests.support.errors import raises_code
from trainer.datasets.layouts import cifar10
from trainer.datasets.layouts.listing import Listing, SourceFormat, SourceRequest
from trainer.datasets.layouts.read_source import read_source

NUMPYS = ((b"numpy.core.", b"numpy._core."), (b"numpy._core.", b"numpy.core."))


def listed(source: Path) -> Listing:
    pictures = source.parent / "pictures"
    pictures.mkdir()
    return read_source(source, SourceRequest(format=SourceFormat.CIFAR10), pictures=pictures)


def written(listing: Listing, index: int) -> bytes:
    """One picture as the batches hold it: red, green, blue."""
    with Image.open(listing.root / listing.pictures[index].path) as picture:
        return np.asarray(picture).transpose(2, 0, 1).tobytes()


def batch(tmp_path: Path, data: bytes) -> Path:
    """A source whose only batch is the given bytes."""
    source = sources.write_cifar10(tmp_path / "source", pictures=1)
    for name in ("data_batch_2", "test_batch"):
        (source / name).unlink()
    (source / "data_batch_1").write_bytes(data)
    return source


def assert_refused(tmp_path: Path, data: bytes, code: str, *values: object) -> None:
    with raises_code(code, *values) as caught:
        listed(batch(tmp_path, data))
    assert isinstance(caught.value, TableError)
    assert Path(caught.value.where).name == "data_batch_1"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_batch_of_any_protocol_holds_the_same_pictures(tmp_path: Path, protocol: int) -> None:
    listing = listed(sources.write_cifar10(tmp_path / "source", protocol=protocol, pictures=3))
    assert [written(listing, index) for index in range(3)] == [
        row.tobytes() for row in sources.cifar_pixels(0, 3)
    ]
    assert [picture.label for picture in listing.pictures[:3]] == list(sources.CIFAR[:3])


@pytest.mark.parametrize("names", NUMPYS, ids=["2", "1"])
def test_the_names_of_either_numpy_are_admitted(tmp_path: Path, names: tuple[bytes, bytes]) -> None:
    source = sources.write_cifar10(tmp_path / "source", protocol=2, pictures=1)
    for path in source.glob("*batch*"):
        path.write_bytes(path.read_bytes().replace(*names))
    assert len(listed(source).pictures) == 3


def test_the_published_instructions_mean_what_python_makes_of_them() -> None:
    data = sources.cifar_pixels(1, 2)
    made: dict[str, Any] = pickle.loads(sources.published_pickle(data, (3, 4)), encoding="latin1")
    assert made["labels"] == [3, 4]
    assert np.array_equal(made["data"], data)


def test_a_published_batch_is_read(tmp_path: Path) -> None:
    data = sources.cifar_pixels(1, 2)
    listing = listed(batch(tmp_path, sources.published_pickle(data, (3, 4))))
    assert [picture.label for picture in listing.pictures] == ["cat", "deer"]
    assert [written(listing, index) for index in range(2)] == [row.tobytes() for row in data]


def test_the_binary_version_holds_the_same_pictures(tmp_path: Path) -> None:
    listing = listed(sources.write_cifar10_binary(tmp_path / "source", pictures=2))
    assert [written(listing, index) for index in range(2)] == [
        row.tobytes() for row in sources.cifar_pixels(0, 2)
    ]
    assert [picture.label for picture in listing.pictures[:2]] == list(sources.CIFAR[:2])


def test_the_test_batch_is_the_test_split(tmp_path: Path) -> None:
    listing = listed(sources.write_cifar10(tmp_path / "source", pictures=4))
    assert Counter(picture.split for picture in listing.pictures) == {Split.TRAIN: 8, Split.TEST: 4}


def test_an_unpacked_archive_is_found_in_its_folder(tmp_path: Path) -> None:
    sources.write_cifar10(tmp_path / "source" / "cifar-10-batches-py", pictures=1)
    assert len(listed(tmp_path / "source").pictures) == 3


# What is refused. Python's own unpickler would run each of these programs.


class Reduced:
    """Pickles as a call of anything."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    "function", [os.system, builtins.eval, os.mkdir, getattr, np.load], ids=lambda f: f.__name__
)
def test_a_call_of_anything_else_is_refused_and_not_made(
    tmp_path: Path, function: object, protocol: int
) -> None:
    witness = tmp_path / "witness"
    argument = f"mkdir {witness}" if function is os.system else f"__import__('os').mkdir({str(witness)!r})"
    program = Reduced(function, str(witness) if function is os.mkdir else argument)
    assert_refused(tmp_path, pickle.dumps({"data": program}, protocol=protocol), "hostile-file")
    assert not witness.exists()


FORBIDDEN = {
    "a global alone": b"\x80\x02cos\nsystem\n.",
    "a name below an admitted module": b"\x80\x04\x8c\x05numpy\x8c\x08f2py.osx\x93.",
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.",
    "an instance": b"(cos\nsystem\nS'true'\no.",
    "an old instance": b"(S'true'\nios\nsystem\n.",
    "a new object": b"\x80\x02cos\nsystem\n)\x81.",
    "a persistent object": b"Px\n.",
    "a call of the array type": b"\x80\x02cnumpy\nndarray\n)R.",
    "another encoding": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x05\x00\x00\x00rot13\x86R.",
    "a state of the array type": b"\x80\x02cnumpy\nndarray\n)\x81}b.",
    "a memory number that needs 64 GiB": b"\x80\x02K\x07r" + struct.pack("<I", 0xFFFFFFFF) + b".",
    "a declared length beyond the memory": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
}


@pytest.mark.parametrize("program", FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_pickle_that_needs_more_than_a_batch_is_refused(tmp_path: Path, program: bytes) -> None:
    assert_refused(tmp_path, program, "hostile-file")


def test_a_pickle_that_is_never_read_to_its_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar10, "MAX_PICKLE_SECONDS", 1.0)
    # The hash of a key that contains itself twice, sixty times over.
    program = b"\x80\x02}K\x01" + b"q\x00h\x00\x86" * 60 + b"K\x01s."
    assert_refused(tmp_path, program, "hostile-file")


UNSOUND = {
    "empty": b"",
    "no pickle": b"hello",
    "cut off": pickle.dumps({"data": b"x" * 100}, protocol=2)[:60],
    "without an end": b"\x80\x02}",
    "two values": b"\x80\x02}}.",
    "no value": b"\x80\x02.",
    "no mark": b"\x80\x02t.",
    "an unknown memory": b"\x80\x02h\x07.",
    "a length beyond the file": b"\x80\x02T" + struct.pack("<I", 1 << 20) + b"x.",
    "an endless number": b"L" + b"9" * 100_000 + b"L\n.",
    "a label of 5,000 digits": b"\x80\x02}(U\x06labels]\x8b"
    + struct.pack("<I", 2100)
    + b"\x7f" * 2100
    + b"au.",
    "an append to a number": b"\x80\x02K\x01K\x02a.",
    "an odd dictionary": b"\x80\x02}(U\x01xu.",
    "an item of a list": b"\x80\x02]U\x01xK\x01s.",
    "half a name": b"cnumpy\n.",
    "a name that is no text": b"\x80\x04K\x01K\x02\x93.",
    "a name that is a deep tuple": b"\x80\x04K\x01" + b"\x85" * 100_000 + b"\x8c\x01x\x93.",
    "a key that is a deep tuple": b"\x80\x02}K\x01" + b"\x85" * 100_000 + b"K\x01s.",
    "an extension": b"\x80\x02\x82\x01.",
    "a buffer from outside": b"\x80\x05\x97.",
    "a call of a text": b"\x80\x02U\x01xK\x01\x85R.",
    "a call without a tuple": b"\x80\x02cnumpy\ndtype\nK\x01R.",
    "a state on a name": b"\x80\x02cnumpy\nndarray\n}b.",
    "an attribute of a name": b"\x80\x02cnumpy\ndtype\nN}U\x08__init__K\x01s\x86b.",
    "a state on a dictionary": b"\x80\x02}}b.",
    "many instructions": b"\x80\x02" + b"]" * 500_001 + b".",
}


@pytest.mark.parametrize("program", UNSOUND.values(), ids=UNSOUND)
def test_a_broken_pickle_is_an_error(tmp_path: Path, program: bytes) -> None:
    assert_refused(tmp_path, program, "invalid-batch")


def test_a_pickle_that_is_too_large_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "MAX_PICKLE_BYTES", 100)
    source = batch(tmp_path, sources.published_pickle(sources.cifar_pixels(0, 1), (1,)))
    with raises_code("file-too-large", source):
        listed(source)


DATA = sources.cifar_pixels(0, 2)
RECORDS: dict[str, object] = {
    "a list": [1],
    "no labels": {"data": DATA},
    "no data": {"labels": [1, 2]},
    "labels that are no list": {"data": DATA, "labels": (1, 2)},
    "labels that are no numbers": {"data": DATA, "labels": ["1", "2"]},
    "labels that are truths": {"data": DATA, "labels": [True, False]},
    "no picture": {"data": DATA[:0], "labels": []},
    "fewer labels": {"data": DATA, "labels": [1]},
    "a label too high": {"data": DATA, "labels": [1, 10]},
    "a label too low": {"data": DATA, "labels": [1, -1]},
    "data that is a text": {"data": "x" * 6144, "labels": [1, 2]},
    "data of another width": {"data": DATA[:, :100], "labels": [1, 2]},
    "data of another kind": {"data": DATA.astype(np.float64), "labels": [1, 2]},
    "data of objects": {"data": DATA[:1].astype(object), "labels": [1]},
    "data in another order": {"data": np.asfortranarray(DATA), "labels": [1, 2]},
}


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_batch_that_is_none_is_an_error(tmp_path: Path, record: object, protocol: int) -> None:
    is_empty = record is RECORDS["no picture"]  # protocol 2 writes empty bytes as a call that is not admitted
    code = "hostile-file" if is_empty and protocol == 2 else "invalid-batch"
    assert_refused(tmp_path, pickle.dumps(record, protocol=protocol), code)


def test_a_declared_shape_beyond_the_data_is_an_error(tmp_path: Path) -> None:
    program = sources.published_pickle(DATA, (1, 2), shape=(2_000_000_000, 3072))
    assert_refused(tmp_path, program, "invalid-batch", 2, 3072)


def test_batches_without_their_names_are_an_error(tmp_path: Path) -> None:
    source = sources.write_cifar10(tmp_path / "source", pictures=1)
    (source / "batches.meta").unlink()
    with raises_code("file-not-found", "batches.meta"):
        listed(source)


@pytest.mark.parametrize(
    "names", [[], ["a"], ["a", "a"], ["a", ""], ["a", 1], ["a", "b\nc"], "ab", None], ids=repr
)
def test_names_that_are_none_are_an_error(tmp_path: Path, names: object) -> None:
    source = sources.write_cifar10(tmp_path / "source", pictures=1)
    (source / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    with raises_code("invalid-batch", "batches.meta"):
        listed(source)


@pytest.mark.parametrize("size", [0, 3072, 3074])
def test_a_binary_batch_of_another_size_is_an_error(tmp_path: Path, size: int) -> None:
    source = sources.write_cifar10_binary(tmp_path / "source", pictures=1)
    (source / "data_batch_1.bin").write_bytes(bytes(size))
    with raises_code("invalid-batch", "data_batch_1.bin", size, 3073):
        listed(source)


def test_a_linked_batch_is_not_taken(tmp_path: Path) -> None:
    source = sources.write_cifar10(tmp_path / "source", pictures=1)
    (source / "data_batch_2").unlink()
    (source / "data_batch_2").symlink_to(source / "test_batch")
    assert len(listed(source).pictures) == 2
