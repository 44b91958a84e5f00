"""Reading bundles from others: valid ones are read, others are rejected and nothing is written."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dermpack.bundle.build_bundle import BundleRequest, build_bundle
from dermpack.bundle.read_bundle import is_bundle, read_bundle
from dermpack.bundle.signing import signature_path
from dermpack.bundle.variants import read_variants
from dermpack.bundle.zip_archive import format_checksums, pack_files, unpack_files
from dermpack.errors import DermpackError
from tests.support.bundle_exports import write_export
from tests.support.colour_model import LABELS
from tests.support.errors import assert_code, raises_code

Files = dict[str, bytes]
MODEL = "skin/src/main/assets/skin/model.tflite"
GOLDEN = "skin/src/debug/assets/skin/golden/golden.json"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = write_export(tmp_path_factory.mktemp("reading") / "export")
    return build_bundle(read_variants(folder), BundleRequest(name="skin")).data


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the path of a bundle in an otherwise empty folder."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here" / "skin.zip"


def resummed(files: Files) -> Files:
    """Return the files with matching checksums, so that only their content is wrong."""
    below = {name.partition("/")[2]: content for name, content in files.items()}
    return {**files, "skin/SHA256SUMS": format_checksums(below).encode()}


def rezipped(data: bytes, change: Callable[[zipfile.ZipFile], None], *, compression: int = 0) -> bytes:
    """Return the same files as another program packs them, with one more entry."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as into:
        for name, content in unpack_files(data, where="").items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 12, 0, 0))
            info.compress_type, info.external_attr, info.create_system = compression, 0o100644 << 16, 3
            into.writestr(info, content)
        change(into)
    return buffer.getvalue()


def link(into: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("skin/link", (1980, 1, 1, 12, 0, 0))
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    into.writestr(info, "/etc/passwd")


def bomb(into: zipfile.ZipFile) -> None:
    into.writestr("skin/bomb", bytes(50 << 20), zipfile.ZIP_DEFLATED)


def test_a_bundle_is_read_as_it_was_made(data: bytes, place: Path) -> None:
    place.write_bytes(data)
    read = read_bundle(place)
    assert read.bundle.slug == "skin"
    assert read.variants[0].contract.labels == LABELS
    assert len(read.require_golden().vectors) >= 8


def test_an_unpacked_bundle_is_read_too(data: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        packed.extractall(tmp_path)
    assert read_bundle(tmp_path / "skin").bundle.slug == "skin"


def test_other_unpackers_read_it(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        assert packed.testzip() is None
        assert {name: packed.read(name) for name in packed.namelist()} == unpack_files(data, where="")


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "skin/../../evil", "C:evil", "a\\b", "skin//x", "skin/./x"]
)
def test_a_name_that_leads_out_of_the_folder_is_rejected(data: bytes, place: Path, name: str) -> None:
    place.write_bytes(pack_files({**unpack_files(data, where=""), name: b"evil"}))
    expect_rejected(place, "hostile-file", repr(name))


@pytest.mark.parametrize(("change", "compression"), [(link, 0), (bomb, 0), (lambda _: None, 8)])
def test_links_bombs_and_compressed_files_are_rejected(
    data: bytes, place: Path, change: Callable[[zipfile.ZipFile], None], compression: int
) -> None:
    place.write_bytes(rezipped(data, change, compression=compression))
    expect_rejected(place, "invalid-bundle")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data + b"x",
        lambda data: data[:-30],
        lambda data: data[:1000],
        lambda data: data[:2000] + data[2001:],
        lambda data: data[:-22] + data[-22:-2] + b"\1\0c",
        lambda _: b"PK\3\4" + bytes(26),
        lambda _: b"PK\3\4",
    ],
    ids=["longer", "no directory", "cut", "a byte less", "comment", "zeros", "mark alone"],
)
def test_changed_zip_structures_are_rejected(
    data: bytes, place: Path, spoil: Callable[[bytes], bytes]
) -> None:
    place.write_bytes(spoil(data))
    expect_rejected(place)


def test_every_changed_byte_is_detected(data: bytes, place: Path) -> None:
    for at in range(7, len(data), len(data) // 97):
        place.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        expect_rejected(place)


SUMS_CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "carriage returns": lambda sums: sums.replace(b"\n", b"\r\n"),
    "a carriage return": lambda sums: sums.replace(b"\n", b"\r", 1),
    "a vertical tab": lambda sums: sums.replace(b"\n", b"\v", 1),
    "a form feed": lambda sums: sums.replace(b"\n", b"\f", 1),
    "a separator": lambda sums: sums.replace(b"\n", b"\x1c", 1),
    "a NUL": lambda sums: sums.replace(b"\n", b"\0\n", 1),
    "a next line of Latin-1": lambda sums: sums.replace(b"\n", b"\x85", 1),
    "no last line feed": lambda sums: sums[:-1],
    "an empty line": lambda sums: sums + b"\n",
    "an empty first line": lambda sums: b"\n" + sums,
    "a line twice": lambda sums: sums + sums.splitlines(keepends=True)[-1],
    "two hashes of a file": lambda sums: sums + b"0" * 64 + sums.splitlines(keepends=True)[-1][64:],
    "another order": lambda sums: b"".join(reversed(sums.splitlines(keepends=True))),
    "upper case": lambda sums: sums[:64].upper() + sums[64:],
    "the mark of binary files": lambda sums: sums.replace(b"  ", b" *"),
    "a byte order mark": lambda sums: b"\xef\xbb\xbf" + sums,
    "a comment": lambda sums: b"# sums\n" + sums,
    "nothing": lambda _sums: b"",
}


@pytest.mark.parametrize("name", SUMS_CHANGES)
def test_checksums_that_another_program_could_read_differently_are_rejected(
    data: bytes, place: Path, name: str
) -> None:
    files = unpack_files(data, where="")
    place.write_bytes(pack_files({**files, "skin/SHA256SUMS": SUMS_CHANGES[name](files["skin/SHA256SUMS"])}))
    expect_rejected(place, "invalid-bundle", "SHA256SUMS" if name != "nothing" else "")


@pytest.mark.parametrize("name", ["skin/bundle.json", GOLDEN, MODEL.replace(".tflite", ".json")])
@pytest.mark.parametrize("depth", ["outer", "inner"])
def test_a_key_with_two_values_is_rejected(data: bytes, place: Path, name: str, depth: str) -> None:
    """Java's parser could take another one of the two than Python's."""
    files = unpack_files(data, where="")
    text = files[name].decode()
    start = text.index("{", 0 if depth == "outer" else text.index("{") + 1)
    key = text[start:].partition('"')[2].partition('"')[0]
    files[name] = f'{text[: start + 1]}"{key}": 0, {text[start + 1 :]}'.encode()
    place.write_bytes(pack_files(resummed(files)))
    expect_rejected(place, "invalid-bundle", name.partition("/")[2])


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({"skin/extra.txt": b"x"}, "extra.txt"),
        ({MODEL: b"another"}, "src/main/assets/skin/model.tflite"),
        ({MODEL: None}, "src/main/assets/skin/model.tflite"),
        ({"skin/SHA256SUMS": b"rubbish\n"}, "SHA256SUMS"),
        ({"skin/SHA256SUMS": None}, "SHA256SUMS"),
        ({"other/file": b""}, "SHA256SUMS"),
        ({"skin/README.md/x": b""}, "skin/README.md"),
        ({"skin/readme.MD": b""}, "skin/readme.MD"),
    ],
)
def test_missing_extra_and_changed_files_are_rejected(
    data: bytes, place: Path, change: dict[str, bytes | None], value: str
) -> None:
    files = {**unpack_files(data, where=""), **change}
    place.write_bytes(pack_files({name: content for name, content in files.items() if content is not None}))
    expect_rejected(place, "invalid-bundle", value)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({MODEL: b"....TFL3 another model"}, "src/main/assets/skin/model.tflite"),
        ({"skin/bundle.json": b"{}"}, "bundle.json"),
        ({"skin/bundle.json": b"[" * 100_000}, "bundle.json"),
        ({GOLDEN: b"{}"}, "src/debug/assets/skin/golden/golden.json"),
        ({GOLDEN: b"[]"}, "src/debug/assets/skin/golden/golden.json"),
    ],
)
def test_wrong_records_are_rejected_even_if_their_hashes_match(
    data: bytes, place: Path, change: Files, value: str
) -> None:
    place.write_bytes(pack_files(resummed({**unpack_files(data, where=""), **change})))
    expect_rejected(place, "invalid-bundle", value)


def test_a_link_in_an_unpacked_bundle_is_rejected(data: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        packed.extractall(tmp_path)
    (tmp_path / "skin" / "NOTICE").unlink()
    (tmp_path / "skin" / "NOTICE").symlink_to("LICENSE")
    with raises_code("hostile-file", tmp_path / "skin", "NOTICE"):
        read_bundle(tmp_path / "skin")


def test_other_files_are_not_bundles(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"....TFL3")
    assert not is_bundle(tmp_path / "model.tflite")
    assert not is_bundle(tmp_path)
    assert not is_bundle(tmp_path / "missing")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key in PEM."""
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key, pem = Ed25519PrivateKey.generate(), serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    paths = (tmp_path / "key.pem", tmp_path / "key.pub.pem")
    for path, content in zip(paths, (private, public), strict=True):
        path.write_bytes(content)
    return paths


def test_a_signature_is_valid_for_its_bundle_and_its_key(
    data: bytes, place: Path, keys: tuple[Path, Path]
) -> None:
    from dermpack.bundle.signing import read_private_key

    place.write_bytes(data)
    signature_path(place).write_bytes(read_private_key(keys[0]).sign(data))
    assert read_bundle(place, key=keys[1]).is_signed
    signature_path(place).write_bytes(bytes(64))
    with raises_code("invalid-signature", place, keys[1]):
        read_bundle(place, key=keys[1])
    signature_path(place).unlink()
    with raises_code("signature-not-found", place, "skin.zip.sig", "--key"):
        read_bundle(place, key=keys[1])


def test_keys_of_another_kind_are_rejected(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    from dermpack.bundle.signing import read_private_key, read_public_key

    with raises_code("invalid-key", keys[1], "openssl genpkey"):
        read_private_key(keys[1])
    with raises_code("invalid-key", keys[0], "openssl pkey"):
        read_public_key(keys[0])
    (tmp_path / "x").write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with raises_code("invalid-key", tmp_path / "x", "openssl genpkey"):
        read_private_key(tmp_path / "x")


def expect_rejected(place: Path, code: str = "", *values: object) -> None:
    """Expect an error, with this code if one is given, and no new file next to the bundle."""
    with pytest.raises(DermpackError) as caught:
        read_bundle(place)
    assert_code(caught.value, code or caught.value.code, *values)
    assert [path.name for path in place.parent.iterdir()] == [place.name]
