"""Tables of pictures are read whole or refused with file and line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from dermpack.dataset.manifest import MAX_CELL_CHARACTERS, Split
from dermpack.errors import TableError
from tests.support import picture_sources as sources
from tests.support.errors import raises_code
from trainer.datasets.layouts import hmnist
from trainer.datasets.layouts import table_reader as tables
from trainer.datasets.layouts.listing import ListedPicture, Listing, SourceFormat, SourceRequest
from trainer.datasets.layouts.read_source import read_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of two pictures that waits for its table."""
    for index in range(2):
        sources.write_picture(tmp_path / "source" / f"{index}.png", index)
    return tmp_path / "source"


def listed(source: Path, text: str | bytes) -> Listing:
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    (source / "t.csv").write_bytes(data)
    return read_source(source, SourceRequest(format=SourceFormat.CSV), pictures=source)


def kinds(listing: Listing) -> dict[str, str]:
    """Why rows are refused; what they leave unnamed is another matter."""
    reported = [finding for finding in listing.refused if finding.kind != "not-in-table"]
    return {finding.picture: finding.kind for finding in reported}


def lesions(source: Path, request: SourceRequest | None = None) -> Listing:
    pictures = source.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    return read_source(source, request or SourceRequest(), pictures=pictures)


# csv


def test_a_row_becomes_a_picture_with_split_group_and_metadata(source: Path) -> None:
    listing = listed(source, "Picture, label ,split,group,age\n./0.png, mel ,Valid,p7, 45 \n")
    expected = ListedPicture(path="0.png", label="mel", split=Split.VALIDATION, group="p7", metadata=("45",))
    assert (listing.pictures, listing.columns) == ((expected,), ("age",))


def test_the_error_for_other_columns_names_the_required_ones(source: Path) -> None:
    table = sources.write_table(source / "bad.csv", [("image", "class"), ("0.png", "a")])
    for given in (source, table):
        with raises_code("missing-column", "bad.csv:1", "image, class", "picture", "label"):
            read_source(given, SourceRequest(), pictures=source)


def test_the_pictures_that_a_stray_table_does_not_list_are_one_finding(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source")
    listing = listed(source, "picture,label\nbenign/0.png,a\nbenign/1.png,b\n")
    (finding,) = listing.refused
    assert (finding.kind, finding.picture) == ("not-in-table", "benign/2.png")
    assert "first of 4 pictures that are in no row of t.csv" in finding.detail
    assert "--format folders" in finding.detail


def test_a_few_unlisted_pictures_are_reported(source: Path) -> None:
    (finding,) = listed(source, "picture,label\n0.png,a\n").refused
    assert (finding.picture, finding.detail) == ("1.png", "is in no row of t.csv, which was read")


def test_a_table_from_windows_is_read_as_it_was_meant(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source")
    listing = listed(source, "picture,label\nbenign\\0.png,a\n.\\benign\\1.png,b\n")
    assert [picture.path for picture in listing.pictures] == ["benign/0.png", "benign/1.png"]


@pytest.mark.parametrize("path", ["..\\0.png", "\\\\server\\0.png", "C:\\0.png", "C:/0.png", "\\0.png"])
def test_a_path_of_windows_that_leaves_the_source_is_refused(source: Path, path: str) -> None:
    assert kinds(listed(source, f"picture,label\n0.png,a\n{path},b\n")) == {path: "outside"}


def test_a_file_whose_own_name_has_a_backslash_is_not_taken_for_another(source: Path) -> None:
    for name in ("a\\b.png", "a/b.png"):
        sources.write_picture(source / name)
    assert kinds(listed(source, "picture,label\n0.png,a\na\\b.png,b\n")) == {"a\\b.png": "name"}


@pytest.mark.parametrize(
    ("rows", "values"),
    [
        ("/x/0.png,a\n/x/1.png,b", ("t.csv:2", "'/x/0.png'", "2 of 2", "--metadata")),
        ("0,a\n1,b", ("t.csv:2", "'0'", "2 of 2", "--metadata")),
        ("x\\0.png,a\n1.png,", ("t.csv:2", "1 of 2", "/")),
        ("1.png,\n0.png,", ("t.csv:2", "'1.png'", "2 of 2")),
        ("none.png,\n0.png,a\n0.png,b\n1.png,a\n1.png,b", ("t.csv:4", "'0.png'", "line 3", "2 of 5")),
    ],
)
def test_a_table_without_a_usable_row_shows_one_and_a_hint(
    source: Path, rows: str, values: tuple[str, ...]
) -> None:
    with raises_code("no-usable-rows", *values):
        listed(source, f"picture,label\n{rows}\n")


def test_a_path_of_windows_is_shown_as_it_stands(source: Path) -> None:
    with raises_code("no-usable-rows", "t.csv:2", r"'C:\Users\0.png'"):
        listed(source, "picture,label\nC:\\Users\\0.png,a\n")


def test_the_error_for_a_table_without_its_pictures_names_the_metadata_option(
    source: Path, tmp_path: Path
) -> None:
    table = sources.write_table(tmp_path / "t.csv", [("picture", "label"), ("9.png", "a")])
    with raises_code("no-usable-rows", "t.csv:2", "9.png", "SOURCE", "--metadata"):
        read_source(table, SourceRequest(), pictures=source)


def test_a_table_beside_the_folder_of_its_pictures_names_that_folder(source: Path) -> None:
    table = sources.write_table(source.parent / "t.csv", [("picture", "label"), ("0.png", "a")])
    with raises_code("no-usable-rows", source, "SOURCE", f"--metadata {table}"):
        read_source(source.parent, SourceRequest(), pictures=source)
    listing = read_source(source, SourceRequest(metadata_file=table), pictures=source)
    assert (listing.format, [picture.path for picture in listing.pictures]) == ("csv", ["0.png"])


def test_the_table_itself_can_be_the_source(tmp_path: Path) -> None:
    source = sources.write_csv(tmp_path / "source")
    listing = read_source(source / "pictures.csv", SourceRequest(), pictures=tmp_path)
    assert (listing.root, len(listing.pictures)) == (source, 6)


def test_a_table_elsewhere_names_pictures_of_the_source(source: Path, tmp_path: Path) -> None:
    table = sources.write_table(tmp_path / "t.csv", [("picture", "label"), ("0.png", "a")])
    request = SourceRequest(format=SourceFormat.CSV, metadata_file=table)
    assert [p.path for p in read_source(source, request, pictures=tmp_path).pictures] == ["0.png"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_that_of_the_header(source: Path, delimiter: str) -> None:
    rows = [("picture", "label"), ("0.png", "a,b;c")]
    sources.write_table(source / "t.csv", rows, delimiter=delimiter)
    listing = read_source(source, SourceRequest(format=SourceFormat.CSV), pictures=source)
    assert [(picture.path, picture.label) for picture in listing.pictures] == [("0.png", "a,b;c")]


def test_a_byte_order_mark_is_passed_over(source: Path) -> None:
    assert len(listed(source, b"\xef\xbb\xbfpicture,label\n0.png,a\n").pictures) == 1


def test_empty_lines_are_passed_over(source: Path) -> None:
    assert len(listed(source, "picture,label\n\n0.png,a\n,\n1.png,b\n").pictures) == 2


def test_a_column_named_as_one_of_the_manifest_gets_a_prefix(source: Path) -> None:
    listing = listed(source, "picture,label,Width,cluster,age\n0.png,a,1,2,3\n")
    assert listing.columns == ("source_Width", "source_cluster", "age")


@pytest.mark.parametrize("path", ["../0.png", "/etc/passwd", "a/../../x.png", "", ".", "sub/.."])
def test_a_path_that_leaves_the_source_is_refused(source: Path, path: str) -> None:
    listing = listed(source, f"picture,label\n0.png,a\n{path},b\n")
    assert (kinds(listing), len(listing.pictures)) == ({path: "outside"}, 1)


@pytest.mark.parametrize("path", ["none.png", "x" * 5000 + ".png", "0.png/1.png", "folder"])
def test_a_row_without_its_file_is_refused(source: Path, path: str) -> None:
    (source / "folder").mkdir()
    assert kinds(listed(source, f"picture,label\n0.png,a\n{path},b\n")) == {path: "no-file"}


@pytest.mark.parametrize("path", ["link.png", "linked/0.png"])
def test_a_row_that_names_a_link_is_refused(source: Path, path: str) -> None:
    (source / "link.png").symlink_to(source / "1.png")
    (source / "linked").symlink_to(source)
    assert kinds(listed(source, f"picture,label\n0.png,a\n{path},b\n")) == {path: "link"}


@pytest.mark.parametrize("path", ["a\\b.png", "two\nlines.png", "esc\x1b[2J.png"])
def test_a_row_with_an_unholdable_name_is_refused(source: Path, path: str) -> None:
    listing = listed(source, f'picture,label\n0.png,a\n"{path}",b\n')
    assert list(kinds(listing).values()) == ["name"]


def test_a_row_without_label_is_refused(source: Path) -> None:
    assert kinds(listed(source, "picture,label\n0.png,a\n1.png,\n")) == {"1.png": "no-label"}


def test_equal_rows_count_once(source: Path) -> None:
    listing = listed(source, "picture,label\n0.png,a\n./0.png,a\n1.png,b\n")
    assert (len(listing.pictures), listing.refused) == (2, ())


def test_a_picture_under_two_labels_is_left_out(source: Path) -> None:
    listing = listed(source, "picture,label\n0.png,a\n1.png,b\n0.png,c\n0.png,a\n")
    (finding,) = listing.refused
    assert [picture.path for picture in listing.pictures] == ["1.png"]
    assert (finding.kind, finding.detail) == ("two-labels", "is a in line 2 and c in line 4")


@pytest.mark.parametrize(
    ("text", "code", "values"),
    [
        (b"", "invalid-table", ("t.csv: ",)),
        (b"picture,label\n", "invalid-table", ("t.csv: ",)),
        (b"file,label\n0.png,a\n", "missing-column", ("t.csv:1", "picture", "file, label")),
        (b"picture,label,label\n0.png,a,b\n", "invalid-table", ("t.csv:1", "label")),
        (b"picture,label,\n0.png,a,b\n", "invalid-table", ("t.csv:1",)),
        (b"picture,label,width,source_width\n0.png,a,1,2\n", "invalid-table", ("t.csv:1", "source_width")),
        (b"picture,label\n0.png,a\n1.png\n", "invalid-table", ("t.csv:3", "1 cells", 2)),
        (b"picture,label\n0.png,a,b\n", "invalid-table", ("t.csv:2", "3 cells", 2)),
        (b"picture,label\n0.png,\xe9\n", "invalid-table", ("t.csv:2", "UTF-8")),
        ("picture,label\n0.png,a\n".encode("utf-16"), "invalid-table", ("t.csv:1", "UTF-8")),
        (b"picture,label\n0.png,a\x00\n", "invalid-table", ("t.csv:2", "NUL")),
        (b'picture,label\n0.png,"two\nlines"\n', "invalid-table", ("t.csv:3",)),
        (b'picture,label\n0.png,"open\n', "invalid-table", ("t.csv:2",)),
        (b"picture,label,split\n0.png,a,holdout\n", "invalid-table", ("t.csv:2", "'holdout'")),
        (b"picture,label,group\n0.png,a,x\n0.png,a,y\n", "conflicting-rows", ("t.csv:3", "0.png", "line 2")),
        (
            b"picture,label\n0.png," + b"x" * (MAX_CELL_CHARACTERS + 1),
            "invalid-table",
            ("t.csv:2", MAX_CELL_CHARACTERS),
        ),
    ],
)
def test_a_broken_table_is_an_error_that_names_the_place(
    source: Path, text: bytes, code: str, values: tuple[object, ...]
) -> None:
    (source / "t.csv").write_bytes(text)
    request = SourceRequest(format=SourceFormat.CSV, metadata_file=source / "t.csv")
    with raises_code(code, *values) as caught:
        read_source(source, request, pictures=source)
    assert isinstance(caught.value, TableError)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_too_large_is_an_error(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 10)
    with raises_code("file-too-large", "t.csv"):
        listed(source, "picture,label\n0.png,a\n")


@pytest.mark.parametrize(("limit", "value"), [("MAX_ROWS", "1 lines"), ("MAX_COLUMNS", "1 columns")])
def test_a_table_of_too_many_cells_is_an_error(
    source: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: str
) -> None:
    monkeypatch.setattr(tables, limit, 1)
    with raises_code("table-too-large", "t.csv", value):
        listed(source, "picture,label\n0.png,a\n")


def test_two_tables_are_an_error_that_names_them(source: Path) -> None:
    (source / "u.csv").write_text("picture,label\n", encoding="utf-8")
    with raises_code("ambiguous-layout", "t.csv, u.csv"):
        listed(source, "picture,label\n0.png,a\n")


def test_a_linked_table_is_not_taken(source: Path, tmp_path: Path) -> None:
    table = sources.write_table(tmp_path / "t.csv", [("picture", "label"), ("0.png", "a")])
    (source / "t.csv").symlink_to(table)
    with raises_code("table-not-found", source, "picture", "label"):
        read_source(source, SourceRequest(format=SourceFormat.CSV), pictures=source)


# HAM10000


def test_a_lesion_is_the_group_and_unknown_is_empty(tmp_path: Path) -> None:
    listing = lesions(sources.write_ham10000(tmp_path / "source", ("nv", "mel")))
    assert listing.columns == ("dx_type", "age", "sex", "localization")
    assert [(p.label, p.group, p.metadata) for p in listing.pictures] == [
        ("nv", "HAM_0000000", ("histo", "45.0", "male", "back")),
        ("mel", "HAM_0000001", ("histo", "45.0", "", "back")),
    ]


@pytest.mark.parametrize(("name", "delimiter"), [("HAM10000_metadata.tab", "\t"), ("HAM10000_metadata", ",")])
def test_the_metadata_is_read_as_dataverse_gives_it(tmp_path: Path, name: str, delimiter: str) -> None:
    source = sources.write_ham10000(tmp_path / "source")
    (source / "HAM10000_metadata.csv").unlink()
    rows = (sources.HAM_HEADER, *sources.ham_rows(sources.DX))
    sources.write_table(source / name, rows, delimiter=delimiter)
    assert len(lesions(source).pictures) == 7


def test_a_row_without_file_and_a_file_without_row_are_refused(tmp_path: Path) -> None:
    source = sources.write_ham10000(tmp_path / "source")
    (source / "HAM10000_images_part_1" / "ISIC_0000000.jpg").rename(
        source / "HAM10000_images_part_1" / "x.jpg"
    )
    listing = lesions(source)
    assert len(listing.pictures) == 6
    assert kinds(listing) == {"ISIC_0000000": "no-file", "HAM10000_images_part_1/x.jpg": "no-row"}


def test_a_second_file_of_one_name_is_refused(tmp_path: Path) -> None:
    source = sources.write_ham10000(tmp_path / "source")
    sources.write_picture(source / "ham10000_images_part_1" / "ISIC_0000000.jpg", 99)
    listing = lesions(source)
    assert len(listing.pictures) == 7
    assert kinds(listing) == {"ham10000_images_part_1/ISIC_0000000.jpg": "repeated"}


def test_a_part_that_was_unpacked_twice_is_one_finding_with_a_count(tmp_path: Path) -> None:
    source = sources.write_ham10000(tmp_path / "source")
    shutil.copytree(source / "HAM10000_images_part_1", source / "ham10000_images_part_1")
    listing = lesions(source)
    assert len(listing.pictures) == 7
    (finding,) = listing.refused
    assert (finding.kind, finding.picture) == ("copies", "ham10000_images_part_1")
    assert finding.detail == "contains 4 byte-for-byte copies of other files"


@pytest.mark.parametrize(
    ("row", "code", "values"),
    [
        (
            ("HAM_1", "ISIC_0000000", "nv", "", "", "", ""),
            "conflicting-rows",
            (":9", "ISIC_0000000", "line 2"),
        ),
        (("HAM_1", "ISIC_9", "", "", "", "", ""), "invalid-table", (":9", "image_id", "dx", "lesion_id")),
        (("HAM_1", "ISIC_9"), "invalid-table", (":9", "2 cells", 7)),
    ],
)
def test_a_broken_metadata_row_is_an_error(
    tmp_path: Path, row: tuple[str, ...], code: str, values: tuple[object, ...]
) -> None:
    source = sources.write_ham10000(tmp_path / "source")
    rows = (sources.HAM_HEADER, *sources.ham_rows(sources.DX), row)
    sources.write_table(source / "HAM10000_metadata.csv", rows)
    with raises_code(code, *values):
        lesions(source)


# hmnist


def test_the_numbers_of_hmnist_are_the_published_diagnoses(tmp_path: Path) -> None:
    listing = lesions(sources.write_hmnist(tmp_path / "source"))
    assert [picture.label for picture in listing.pictures] == list(sources.DX)


@pytest.mark.parametrize(("pixels", "mode"), [(2352, "RGB"), (784, "L")])
def test_a_row_of_pixels_is_written_as_it_is(tmp_path: Path, pixels: int, mode: str) -> None:
    source = sources.write_hmnist(tmp_path / "source", (4,), pixels=pixels)
    listing = lesions(source)
    with Image.open(listing.root / listing.pictures[0].path) as picture:
        written = ",".join(str(value) for value in picture.tobytes())
        assert (picture.mode, picture.size, picture.format) == (mode, (28, 28), "PNG")
    assert written + ",4" == next(source.glob("*.csv")).read_text(encoding="utf-8").splitlines()[1]


def test_the_metadata_of_hmnist_brings_groups(tmp_path: Path) -> None:
    source = sources.write_hmnist(tmp_path / "source")
    sources.write_hmnist_metadata(source)
    listing = lesions(source)
    assert (listing.format, listing.columns) == ("hmnist", ("dx_type", "age", "sex", "localization"))
    assert [picture.group for picture in listing.pictures] == [f"HAM_{index:07d}" for index in range(7)]


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        (sources.DX[::-1], (":2", "akiec", "mel", "line 2")),
        (sources.DX[:6], (":8", 6)),
        ((*sources.DX, "nv"), ("7 rows", 8)),
    ],
)
def test_metadata_of_another_table_is_an_error(
    tmp_path: Path, labels: tuple[str, ...], values: tuple[object, ...]
) -> None:
    source = sources.write_hmnist(tmp_path / "source")
    table = sources.write_hmnist_metadata(tmp_path / "elsewhere", labels)
    with raises_code("metadata-mismatch", *values):
        lesions(source, SourceRequest(metadata_file=table))


@pytest.mark.parametrize(
    "cell", ["", "x", "-1", "256", "1.5", "nan", "1_0", "9" * 5000, "\u0663"], ids=lambda cell: cell[:5]
)
def test_a_cell_that_is_no_pixel_is_an_error(tmp_path: Path, cell: str) -> None:
    source = sources.write_hmnist(tmp_path / "source")
    table = source / "hmnist_28_28_RGB.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[3] = f"{cell},{lines[3].partition(',')[2]}"
    table.write_text("\n".join(lines), encoding="utf-8")
    with raises_code("invalid-table", "RGB.csv:4"):
        lesions(source)


@pytest.mark.parametrize("number", [7, 255])
def test_a_number_of_no_diagnosis_is_an_error(tmp_path: Path, number: int) -> None:
    with raises_code("invalid-table", "RGB.csv:2"):
        lesions(sources.write_hmnist(tmp_path / "source", (number,)))


@pytest.mark.parametrize(
    ("tail", "cells"),
    [("1,2,3\n", "3 cells"), ("1," * 100_000, "cells")],
    ids=["short", "endless"],
)
def test_a_row_of_another_width_is_an_error(tmp_path: Path, tail: str, cells: str) -> None:
    source = sources.write_hmnist(tmp_path / "source")
    with (source / "hmnist_28_28_RGB.csv").open("a", encoding="utf-8") as file:
        file.write(tail)
    with raises_code("invalid-table", "RGB.csv:9", cells):
        lesions(source)


def test_another_header_is_an_error(tmp_path: Path) -> None:
    source = sources.write_hmnist(tmp_path / "source", pixels=784)
    (source / "hmnist_28_28_L.csv").write_text("a,b,label\n1,2,3\n", encoding="utf-8")
    with raises_code("invalid-table", "L.csv:1", "3 columns"):
        lesions(source)


def test_an_endless_hmnist_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmnist, "MAX_ROWS", 3)
    with raises_code("table-too-large", "RGB.csv", "3 rows"):
        lesions(sources.write_hmnist(tmp_path / "source"))
