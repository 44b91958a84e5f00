from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.cli.data import default_output
from dermpack.dataset.manifest import Dataset, Finding
from dermpack.storage.files import sha256_file
from tests.support.errors import assert_stderr_code
from tests.support.training_dataset import dataset, write

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def small(tmp_path: Path) -> Dataset:
    """Two classes, one of them with a hostile name; a column; a picture that was left out."""
    labels = ["nv", HOSTILE] * 12
    made = dataset(tmp_path / "sets", labels, {"sex": ["male", "female", "unknown"] * 8})
    left_out = (Finding(kind="truncated", picture=HOSTILE, detail=HOSTILE),)
    return write(replace(made, refused=left_out, licence="CC0"))


def report(dataset: Dataset, output: Path, *options: str) -> int:
    return main(["data", "report", str(dataset.folder), "-o", str(output), *options])


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*")}


def test_a_report_is_a_page_its_record_and_its_plots(
    small: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert report(small, output, "-q") == 0
    assert capsys.readouterr() == (f"{output / 'report.html'}\n", "")
    names = {path.name for path in output.iterdir()}
    assert {"report.html", "report.json", "02-classes-and-splits-1.png"} <= names
    assert "03-a-look-at-each-class-2.jpg" in names


def test_pictures_that_cannot_be_used_are_listed_apart_from_other_omissions(
    small: Dataset, tmp_path: Path
) -> None:
    refused = (
        *small.refused,
        *(Finding(kind="other-file", picture=f"{n}.txt", detail="y") for n in range(2)),
    )
    report(write(replace(small, refused=refused)), tmp_path / "out", "-q")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    unusable = page.partition('">Unusable pictures</h2>')[2].partition("</section>")[0]
    others = page.partition('">Also left out</h2>')[2].partition("</section>")[0]
    assert ("truncated" in unusable, "other-file" in unusable) == (True, False)
    assert ("truncated" in others, "1.txt" in others) == (False, True)
    assert "could not use 1 picture (4.0%)" in page


def test_the_record_names_the_dataset_that_it_was_made_from(small: Dataset, tmp_path: Path) -> None:
    report(small, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "report.json").read_text())
    assert record["schema"] == 2
    assert record["dataset_sha256"] == small.sha256
    assert record["exploration"]["refused"] == [["truncated", 1]]
    assert record["pictures"] == 24


def test_json_is_the_record_with_the_page(
    small: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(small, tmp_path / "out", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("page") == str(tmp_path / "out" / "report.html")
    assert printed == json.loads((tmp_path / "out" / "report.json").read_text())


def test_hostile_names_stay_text(small: Dataset, tmp_path: Path) -> None:
    report(small, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page


def test_the_same_dataset_and_seed_give_the_same_bytes(small: Dataset, tmp_path: Path) -> None:
    report(small, tmp_path / "one")
    report(small, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_no_path_of_the_machine_is_in_a_report(small: Dataset, tmp_path: Path) -> None:
    report(small, tmp_path / "out", "--no-pictures")
    for name in ("report.html", "report.json"):
        assert str(tmp_path) not in (tmp_path / "out" / name).read_text()


def test_without_pictures_there_is_no_contact_sheet(small: Dataset, tmp_path: Path) -> None:
    report(small, tmp_path / "out", "--no-pictures")
    assert not list((tmp_path / "out").glob("*.jpg"))
    assert "A look at each class" not in (tmp_path / "out" / "report.html").read_text()


def test_the_search_in_the_pixels_can_be_limited_or_left_out(small: Dataset, tmp_path: Path) -> None:
    report(small, tmp_path / "none", "--no-pictures", "--max-analysed", "0")
    assert json.loads((tmp_path / "none" / "report.json").read_text())["analysis"] is None
    assert "Possible shortcuts" not in (tmp_path / "none" / "report.html").read_text()
    report(small, tmp_path / "few", "--no-pictures", "--max-analysed", "5", "--no-features")
    analysis = json.loads((tmp_path / "few" / "report.json").read_text())["analysis"]
    assert analysis["analysed"] + analysis["unreadable"] <= 5
    assert analysis["features_missing"]


def test_a_section_without_its_column_is_left_out(small: Dataset, tmp_path: Path) -> None:
    report(small, tmp_path / "out", "--no-pictures")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "By sex" in page
    assert "By age" not in page


def test_the_report_goes_beside_the_dataset(small: Dataset, tmp_path: Path) -> None:
    assert main(["data", "report", str(small.folder), "--no-pictures"]) == 0
    assert (tmp_path / "sets-report" / "report.html").is_file()


def test_a_dataset_named_by_a_dot_has_its_report_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_output(Path()) == tmp_path.parent / f"{tmp_path.name}-report"
    assert default_output(Path("sets/ham")) == Path("sets/ham-report")


def test_the_dataset_is_not_touched(small: Dataset, tmp_path: Path) -> None:
    before = contents(small.folder)
    report(small, tmp_path / "out")
    assert contents(small.folder) == before


def test_a_report_inside_the_dataset_is_refused(small: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(small, small.folder / "out") == 1
    assert_stderr_code(capsys.readouterr().err, "output-inside-input", small.folder / "out")
    assert not (small.folder / "out").exists()


def test_a_report_that_is_there_stays_unless_asked(
    small: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(small, tmp_path / "out", "--no-pictures")
    assert report(small, tmp_path / "out", "--no-pictures") == 1
    assert_stderr_code(capsys.readouterr().err, "output-exists", tmp_path / "out", "--overwrite")
    assert report(small, tmp_path / "out", "--no-pictures", "--overwrite") == 0


def test_a_folder_of_something_else_is_never_replaced(small: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").write_text("mine")
    assert report(small, tmp_path / "out", "--overwrite") == 1
    assert contents(tmp_path / "out").keys() == {"thesis.doc"}


def test_a_broken_picture_does_not_stop_the_report(small: Dataset, tmp_path: Path) -> None:
    small.file(small.pictures[0]).write_bytes(b"no picture any more")
    small.file(small.pictures[1]).unlink()
    assert report(small, tmp_path / "out") == 0


def test_pictures_that_are_gone_are_a_warning_on_the_page_and_beside_it(
    small: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for picture in small.pictures[:2]:
        small.file(picture).unlink()
    assert report(small, tmp_path / "out") == 0
    assert "WARNING: 2 pictures are not in" in capsys.readouterr().err
    assert "2 of 24 pictures" in (tmp_path / "out" / "report.html").read_text()


def test_the_page_is_named_after_the_dataset(small: Dataset, tmp_path: Path) -> None:
    report(small, tmp_path / "out", "-q")
    assert f"<h1>Dataset {small.folder.name}</h1>" in (tmp_path / "out" / "report.html").read_text()


def test_a_broken_dataset_is_one_line_and_leaves_nothing(
    small: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (small.folder / "manifest.csv").write_text("picture,label\n")
    assert report(small, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert_stderr_code(error, "invalid-format", "manifest.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sets"]
