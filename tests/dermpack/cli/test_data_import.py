"""dermpack data import and check, as a person and as a program calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.cli.console import Printer
from dermpack.cli.data.import_ import print_summary
from dermpack.dataset.manifest import Finding
from tests.support import picture_sources
from tests.support.colour_patches import class_folders, jpeg, patch, write
from tests.support.errors import assert_stderr_code
from tests.support.hostile_pictures import with_jpeg_segment
from tests.support.training_dataset import dataset


def imported(source: Path, *options: str) -> int:
    output = source.parent / "dataset"
    return main(["data", "import", str(source), "-o", str(output), "--jobs", "1", *options])


def test_the_answer_has_fixed_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = class_folders(tmp_path / "source")
    write(source / "class0" / "bad.png", b"")
    write(source / "class0" / "near.jpg", jpeg(patch(0)))
    assert imported(source, "--json", "--quiet") == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert set(answer) == {
        *("classes", "clusters", "counts", "format", "groups", "manifest_sha256"),
        *("notes", "pictures", "refused", "search"),
    }
    assert (answer["pictures"], answer["clusters"]) == (13, 1)
    assert (answer["refused"], answer["notes"]) == ({"empty": 1}, {"near-duplicate": 1})
    assert err == ""


def test_a_person_reads_counts_reasons_and_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = class_folders(tmp_path / "source")
    write(source / "class0" / "bad.png", b"")
    write(source / "class0" / "near.jpg", jpeg(patch(0)))
    assert imported(source) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'dataset'}\n"
    assert "13 pictures" in err
    assert "left out, empty: 1, e.g. class0/bad.png (" in err
    assert "pictures that cannot be used: 1 of 14 (7.1%)" in err
    assert f"everything that was left out: {tmp_path}" in err
    assert "0 identical and 1 near duplicates in 1 clusters" in err
    assert "next: dermpack data report" in err


def test_copies_that_lost_metadata_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = class_folders(tmp_path / "source")
    data = with_jpeg_segment(jpeg(patch(0)), 0xE1, b"Exif\0\0 of Anna Muster")
    write(source / "class0" / "named.jpg", data)
    assert imported(source, "--copy", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["notes"]["metadata-removed"] == 1
    assert "kept, metadata-removed: 1, e.g. class0/named.jpg (" in err
    copy = tmp_path / "dataset" / "pictures" / "class0" / "named.jpg"
    assert b"Muster" not in copy.read_bytes()
    assert main(["data", "check", str(tmp_path / "dataset"), "-q"]) == 0
    assert imported(source, "--copy", "--keep-metadata", "--overwrite", "-q") == 0
    assert copy.read_bytes() == data
    assert imported(source, "--keep-metadata", "--overwrite") == 2


def test_asked_groups_are_confirmed_by_import_and_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = class_folders(tmp_path / "source")
    paths = sorted(path.relative_to(source).as_posix() for path in source.rglob("*.*"))
    rows = [f"{path},{path[:6]},P{at % 6}" for at, path in enumerate(paths)]
    write(source / "t.csv", "\n".join(("picture,label,patient", *rows)).encode())
    assert imported(source, "--group", "patient") == 0
    assert "grouped: 6 groups (patient), kept together by the new split\n" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path / "dataset")]) == 0
    assert capsys.readouterr().out == f"{len(paths)} pictures in 6 groups (patient), no problem\n"


def test_pictures_one_folder_deeper_name_the_folder_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class_folders(tmp_path / "source" / "My pictures")
    assert imported(tmp_path / "source") == 1
    err = capsys.readouterr().err
    assert_stderr_code(err, "single-class", "class0, class1", tmp_path / "source/My pictures")


def test_a_leak_comes_with_its_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for at, label in enumerate("ab"):
        for number in range(3):
            for part in ("train", "val", "test"):
                seed = 100 * at + 10 * number + len(part)
                write(tmp_path / "source" / part / label / f"{number}.jpg", jpeg(patch(seed)))
    write(tmp_path / "source" / "train" / "a" / "copy.jpg", jpeg(patch(4), quality=70))  # of test/a/0.jpg
    write(tmp_path / "source" / "test" / "a" / "0.jpg", jpeg(patch(4)))
    write(tmp_path / "source" / "train" / "a" / "0.jpg", jpeg(patch(999)))
    write(tmp_path / "source" / "train" / "b" / "0.jpg", jpeg(patch(998)))
    assert imported(tmp_path / "source") == 0
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith("WARNING: the given splits leak: 1 picture has")
    assert "--mend" in err.splitlines()[-1] and "--new-splits" in err.splitlines()[-1]
    assert "kept together" not in err
    assert main(["data", "check", str(tmp_path / "dataset")]) == 1
    out, err = capsys.readouterr()
    assert "cluster-leak: train/a/copy.jpg: is in train" in err and "--mend" in err
    assert out.endswith("pictures, cluster-leak: 1\n")
    assert imported(tmp_path / "source", "--overwrite", "--mend") == 0
    assert "duplicates:" not in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path / "dataset")]) == 0


def test_shares_without_effect_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for at, place in enumerate((part, label) for part in ("train", "val", "test") for label in "ab"):
        write(tmp_path / "source" / "/".join(place) / "0.jpg", jpeg(patch(at)))
    assert imported(tmp_path / "source", "--split", "80/10/10", "--keep-splits") == 0
    assert "split-unused: --split 80/10/10 cut nothing" in capsys.readouterr().err


def test_classes_left_out_are_counted_as_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = class_folders(tmp_path / "source", classes=3)
    assert imported(source, "--positive", "class0", "--negative", "class1") == 0
    assert "left out, unmapped: 1 class, e.g. class2" in capsys.readouterr().err


def test_pictures_that_the_map_leaves_out_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = class_folders(tmp_path / "source", classes=3)
    write(tmp_path / "map.csv", b"class,label\nclass0,a\nclass1,b\nclass2,\n")
    assert imported(source, "--map", str(tmp_path / "map.csv")) == 0
    err = capsys.readouterr().err
    assert "left out by --map: 6, e.g. class2/" in err
    assert "cannot be used" not in err


def test_heic_photographs_without_their_decoder_have_a_line_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = dataset(tmp_path, ["mel", "nv"] * 115)
    refused = tuple(Finding(kind="missing-extra", picture=f"{n}.heic", detail="y") for n in range(60))
    print_summary(replace(made, refused=refused), tmp_path, Printer(), is_default=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "left out, missing-extra" in line] == []
    (line,) = (line for line in lines if "WARNING" in line)
    assert "60 of 290 pictures (20.7%)" in line
    assert 'Run: pip install "dermpack[heic]"' in line


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert imported(tmp_path / "nowhere") == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert_stderr_code(err, "file-not-found", tmp_path / "nowhere")


def test_strict_stops_at_a_bad_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = class_folders(tmp_path / "source")
    write(source / "class0" / "bad.png", b"")
    assert imported(source, "--strict", "--quiet") == 1
    assert_stderr_code(capsys.readouterr().err, "unusable-pictures", "class0/bad.png (empty)")
    assert not (tmp_path / "dataset").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--mend", "--new-splits"),
        ("--jobs", "0"),
        ("--format", "xls"),
        ("--max-megapixels", "inf"),
        ("--max-megapixels", "nan"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert imported(class_folders(tmp_path / "source"), *options) == 2


def test_the_megapixel_limit_is_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = class_folders(tmp_path / "source", each=2)
    write(source / "class0" / "large.jpg", jpeg(patch(7, size=120)))
    assert imported(source, "--json", "-q", "--max-megapixels", "0.01") == 0
    assert json.loads(capsys.readouterr().out)["refused"] == {"too-large": 1}


def test_check_answers_and_exits_by_what_it_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = class_folders(tmp_path / "source")
    imported(source, "-q")
    capsys.readouterr()
    assert main(["data", "check", str(tmp_path / "dataset"), "-q"]) == 0
    assert capsys.readouterr().out == "12 pictures, no problem\n"
    (source / "class0" / "0.png").unlink()
    assert main(["data", "check", str(tmp_path / "dataset"), "--json"]) == 1
    out, err = capsys.readouterr()
    assert "class0/0.png" not in err
    answer = json.loads(out)
    assert set(answer) == {"counts", "groups", "pictures", "problems", "search", "sound"}
    assert answer["sound"] is False
    assert [(problem["kind"], problem["picture"]) for problem in answer["problems"]] == [
        ("missing", "class0/0.png")
    ]


def test_check_again_decodes_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(class_folders(tmp_path / "source"), "-q")
    capsys.readouterr()
    assert main(["data", "check", str(tmp_path / "dataset"), "--again", "--jobs", "1", "-q"]) == 0
    assert "no problem" in capsys.readouterr().out


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_import_leaves_the_old_dataset_and_no_process(tmp_path: Path, stop: signal.Signals) -> None:
    """Stopped as soon as its unfinished folder stands; a worker left behind would hold stderr open."""
    source = class_folders(tmp_path / "source", each=40)
    imported(source, "-q")
    before = (tmp_path / "dataset" / "manifest.csv").read_bytes()
    command = ["data", "import", str(source), "-o", str(tmp_path / "dataset"), "--overwrite", "--seed", "1"]
    hears = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a suite in the background is deaf to it
    with subprocess.Popen(
        [sys.executable, "-m", "dermpack", *command, "--jobs", "2", "-q"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears,
    ) as process:
        while not list(tmp_path.glob(".dataset.*.partial")):
            assert process.poll() is None
        process.send_signal(stop)
        _, err = process.communicate()
    assert process.returncode == (-stop if stop is signal.SIGKILL else 128 + stop)
    assert stop is signal.SIGKILL or err.strip() == "interrupted; nothing was written"
    assert (tmp_path / "dataset" / "manifest.csv").read_bytes() == before
    assert imported(source, "-q", "--overwrite", "--seed", "2") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"source", "dataset"}


def test_a_path_of_any_bytes_is_printed_as_it_is(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source, output = class_folders(tmp_path / "source"), os.fsencode(tmp_path) + b"/odd\xff"
    assert main(["data", "import", str(source), "-o", os.fsdecode(output), "--jobs", "1", "-q"]) == 0
    assert capfdbinary.readouterr().out == output + b"\n"


def test_json_is_ascii_whatever_it_names(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    source = class_folders(tmp_path / "source")
    (source / "class1").rename(source / "ÿ")
    assert imported(source, "--json", "-q") == 0
    out = capfdbinary.readouterr().out
    assert out.isascii()
    assert json.loads(out)["classes"] == ["class0", "ÿ"]


def test_a_closed_stdout_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert imported(class_folders(tmp_path / "source"), "-q") == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_stdout_is_one_line(tmp_path: Path) -> None:
    imported(class_folders(tmp_path / "source"), "-q")
    command = [sys.executable, "-m", "dermpack", "data", "check", str(tmp_path / "dataset"), "-q"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert_stderr_code(done.stderr, "cannot-write", "stdout")


def test_merged_classes_get_the_given_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = class_folders(tmp_path / "source", classes=3)
    names = ("--name", "eczema", "--negative-name", "other")
    merged = ("--positive", "class0", "--positive", "class1", *names)
    assert imported(source, *merged, "--duplicates", "off", "--json", "-q") == 0
    assert json.loads(capsys.readouterr().out)["classes"] == ["eczema", "other"]
    options = json.loads((tmp_path / "dataset" / "dataset.json").read_text(encoding="utf-8"))["options"]
    assert (options["name"], options["negative_name"]) == ("eczema", "other")


def test_the_weight_of_a_label_is_an_option_of_scin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture_sources.write_scin(tmp_path / "source")
    assert imported(source, "--min-weight", "0.7", "--duplicates", "off", "--json", "-q") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["pictures"], answer["groups"], answer["refused"]) == (2, 2, {"uncertain-label": 1})
    options = json.loads((tmp_path / "dataset" / "dataset.json").read_text(encoding="utf-8"))["options"]
    assert options["min_weight"] == "0.7"


def test_photographs_of_phones_are_imported_upright(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pillow_heif")
    from tests.support.heic_pictures import encoded_heic

    source = tmp_path / "source"
    for index in range(6):
        path = source / f"class{index % 2}" / f"IMG_{index}.HEIC"
        pixels = picture_sources.noise(index, side=64)[:48]
        write(path, encoded_heic(pixels, orientation=6))
    assert imported(source, "--copy", "--duplicates", "off", "--json", "-q") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["pictures"], answer["refused"]) == (6, {})
    assert main(["data", "check", str(tmp_path / "dataset"), "-q"]) == 0
    manifest = (tmp_path / "dataset" / "manifest.csv").read_text(encoding="utf-8")
    assert ",48,64," in manifest.splitlines()[1]
