"""dermpack package, and dermpack verify of what it makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermpack.bundle.zip_archive import format_checksums, pack_files, unpack_files
from dermpack.cli import main
from tests.support.bundle_exports import write_export, write_exports
from tests.support.errors import assert_stderr_code
from tests.support.hostile_pictures import encoded, scene, with_jpeg_segment


def package(*arguments: object) -> int:
    return main(["package", *map(str, arguments)])


def test_a_bundle_is_made_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export, bundle = write_export(tmp_path / "export", "float32"), tmp_path / "new" / "skin.zip"
    assert package(export, "-o", bundle, "--name", "skin", "--json", "--quiet") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["module"], answer["class"]) == ("skin", "dermpack.skin.SkinClassifier")
    assert answer["size_bytes"] == bundle.stat().st_size
    assert [path.name for path in bundle.parent.iterdir()] == ["skin.zip"]
    assert main(["verify", str(bundle), "--pictures", "1", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("bundle skin: holds (")


def test_what_a_build_must_call_it_is_said_where_it_has_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = write_export(tmp_path / "export", "float32")
    for name, is_printed in (("skin", False), ("my-skin", True)):
        assert package(export, "-o", tmp_path / f"{name}.zip", "--name", name) == 0
        note = "module and folder are named my_skin, the class dermpack.my_skin.MySkinClassifier\n"
        assert (note in capsys.readouterr().err) == is_printed


def test_a_note_states_that_a_file_without_the_suffix_is_a_zip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = write_export(tmp_path / "export", "float32")
    for name, is_printed in (("z.ZIP", False), ("z", True)):
        assert package(export, "-o", tmp_path / name, "--name", "skin") == 0
        assert (f"{name} is a zip file" in capsys.readouterr().err) == is_printed


def test_the_card_is_laid_beside_too(tmp_path: Path) -> None:
    export, card = write_export(tmp_path / "export"), tmp_path / "MODEL_CARD.md"
    assert package(export, "-o", tmp_path / "b.zip", "--card", card, "-q") == 0
    assert card.read_bytes() in (tmp_path / "b.zip").read_bytes()
    assert (
        package(export, "-o", tmp_path / "b.zip", "--overwrite", "--card", tmp_path / "no" / "card.md") == 1
    )


def test_a_card_or_a_signature_is_overwritten_only_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export, bundle = write_export(tmp_path / "export"), tmp_path / "b.zip"
    for name, options in (("card.md", ("--card", tmp_path / "card.md")), ("b.zip.sig", ())):
        (tmp_path / name).write_text("mine", encoding="utf-8")
        assert package(export, "-o", bundle, *options) == 1
        stderr = capsys.readouterr().err
        assert stderr.count("\n") == 1
        assert_stderr_code(stderr, "output-exists", tmp_path / name, "--overwrite")
        assert (tmp_path / name).read_text(encoding="utf-8") == "mine"
        assert not bundle.exists()
        (tmp_path / name).unlink()
    (tmp_path / "card.md").write_text("old", encoding="utf-8")
    assert package(export, "-o", bundle, "--card", tmp_path / "card.md", "--overwrite", "-q") == 0
    assert (tmp_path / "card.md").read_bytes() in bundle.read_bytes()


def test_variants_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports = write_exports(tmp_path / "exports")
    chosen = ("--variant", "int8", "--variant", "float32")
    assert package(exports, "-o", tmp_path / "b.zip", *chosen, "--json", "--quiet") == 0
    assert json.loads(capsys.readouterr().out)["variants"] == ["int8", "float32"]


def test_ones_own_pictures_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = write_export(tmp_path / "export")
    (tmp_path / "own.png").write_bytes(encoded(scene(), "PNG"))
    assert package(export, "-o", tmp_path / "b.zip", "--golden", tmp_path / "own.png", "-q") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'b.zip'}\n"


def test_a_bundle_is_overwritten_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export, bundle = write_export(tmp_path / "export"), tmp_path / "b.zip"
    assert [package(export, "-o", bundle, "-q") for _ in range(2)] == [0, 1]
    assert_stderr_code(capsys.readouterr().err, "output-exists", bundle, "--overwrite")
    first = bundle.read_bytes()
    assert package(export, "-o", bundle, "-q", "--overwrite") == 0
    assert bundle.read_bytes() == first
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert package(export, "-o", tmp_path / "mine.txt", "--overwrite") == 1
    assert_stderr_code(capsys.readouterr().err, "output-exists", tmp_path / "mine.txt")


def test_a_signed_bundle_is_verified_with_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    private, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    keys = [Ed25519PrivateKey.generate() for _ in range(2)]
    (tmp_path / "key").write_bytes(keys[0].private_bytes(pem, private, plain))
    for name, key in zip(("mine", "other"), keys, strict=True):
        (tmp_path / name).write_bytes(key.public_key().public_bytes(pem, info))
    export, bundle = write_export(tmp_path / "export", "float32"), tmp_path / "b.zip"
    assert package(export, "-o", bundle, "--sign", tmp_path / "key", "-q") == 0
    verify = ["verify", str(bundle), "--pictures", "1", "-q", "--key"]
    assert main([*verify, str(tmp_path / "mine")]) == 0
    assert main([*verify, str(tmp_path / "other")]) == 1
    assert_stderr_code(capsys.readouterr().err, "invalid-signature", bundle, tmp_path / "other")


def test_a_key_that_is_none_is_said_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cryptography")
    (tmp_path / "key").write_text("secret", encoding="utf-8")
    assert package(tmp_path / "missing", "-o", tmp_path / "b.zip", "--sign", tmp_path / "key") == 1
    assert_stderr_code(capsys.readouterr().err, "invalid-key", tmp_path / "key", "openssl")


def test_an_export_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert package(tmp_path / "missing", "-o", tmp_path / "b.zip") == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert_stderr_code(stderr, "model-not-found", tmp_path / "missing")
    assert not (tmp_path / "b.zip").exists()


def test_a_bundle_with_a_byte_changed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export, bundle = write_export(tmp_path / "export"), tmp_path / "b.zip"
    assert package(export, "-o", bundle, "-q") == 0
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(bytes(data))
    assert main(["verify", str(bundle), "-q"]) == 1
    assert_stderr_code(capsys.readouterr().err, "invalid-bundle", bundle)


def test_the_error_for_a_folder_without_an_export_names_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", str(tmp_path), "-o", str(tmp_path / "skin.zip")]) == 1
    assert_stderr_code(capsys.readouterr().err, "model-not-found", tmp_path, "dermpack convert")


def test_metadata_of_golden_pictures_is_removed_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export, picture = write_export(tmp_path / "export"), tmp_path / "own.jpg"
    picture.write_bytes(with_jpeg_segment(encoded(scene(), "JPEG"), 0xFE, b"Anna Muster"))
    (tmp_path / "plain.png").write_bytes(encoded(scene(), "PNG"))
    golden = ("--golden", picture, "--golden", tmp_path / "plain.png", "--json")
    for options, count, found in (((), 1, False), (("--keep-metadata",), 0, True)):
        bundle = tmp_path / f"b{count}.zip"
        assert package(export, "-o", bundle, *golden, *options) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["metadata_removed"] == count
        assert ("1 of 2 golden pictures" in captured.err) == bool(count)
        assert (b"Anna Muster" in bundle.read_bytes()) == found


def test_keeping_metadata_requires_golden_pictures(tmp_path: Path) -> None:
    assert package(tmp_path, "-o", tmp_path / "b.zip", "--keep-metadata") == 2


def test_verify_reports_an_unknown_author_without_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export, bundle = write_export(tmp_path / "export", "float32"), tmp_path / "b.zip"
    assert package(export, "-o", bundle, "-q") == 0
    capsys.readouterr()
    assert main(["verify", str(bundle), "--pictures", "1", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["author"] == "unknown"
    assert "author unknown" in captured.err


def test_a_forged_bundle_fails_although_its_checksums_match(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export, bundle = write_export(tmp_path / "export", "float32"), tmp_path / "b.zip"
    assert package(export, "-o", bundle, "--name", "skin", "-q") == 0
    files = {**unpack_files(bundle.read_bytes(), where=""), "skin/NOTICE": b"public domain"}
    below = {name.partition("/")[2]: content for name, content in files.items()}
    bundle.write_bytes(pack_files({**files, "skin/SHA256SUMS": format_checksums(below).encode()}))
    assert main(["verify", str(bundle), "--pictures", "1", "-q"]) == 1
    assert_stderr_code(capsys.readouterr().err, "verification-failed", bundle, "NOTICE")
