"""Each true layout is recognised and read; what does not belong is refused by name."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from dermpack.dataset.manifest import Split
from dermpack.progress import Item
from tests.support import picture_sources as sources
from tests.support.errors import raises_code
from trainer.datasets.layouts.listing import Listing, SourceFormat, SourceRequest
from trainer.datasets.layouts.read_source import read_source


def listing_of(source: Path, request: SourceRequest | None = None) -> Listing:
    pictures = source.parent / f"{source.name}-pictures"
    pictures.mkdir(exist_ok=True)
    return read_source(source, request or SourceRequest(), pictures=pictures)


def kinds(listing: Listing) -> dict[str, str]:
    return {finding.picture: finding.kind for finding in listing.refused}


WRITERS: tuple[tuple[Callable[[Path], Path], SourceFormat, int], ...] = (
    (sources.write_folders, SourceFormat.FOLDERS, 6),
    (sources.write_split_folders, SourceFormat.FOLDERS, 12),
    (sources.write_dermnet, SourceFormat.DERMNET, 12),
    (sources.write_isic, SourceFormat.ISIC, 16),
    (sources.write_csv, SourceFormat.CSV, 6),
    (sources.write_ham10000, SourceFormat.HAM10000, 7),
    (sources.write_hmnist, SourceFormat.HMNIST, 7),
    (sources.write_cifar10, SourceFormat.CIFAR10, 30),
    (sources.write_cifar10_binary, SourceFormat.CIFAR10, 20),
    (sources.write_fitzpatrick17k, SourceFormat.FITZPATRICK17K, 4),
    (sources.write_scin, SourceFormat.SCIN, 5),
    (sources.write_pad_ufes, SourceFormat.PAD_UFES, 6),
)


@pytest.mark.parametrize(("write", "layout", "count"), WRITERS)
def test_a_layout_is_recognised_and_wholly_read(
    tmp_path: Path, write: Callable[[Path], Path], layout: SourceFormat, count: int
) -> None:
    listing = listing_of(write(tmp_path / "source"))
    assert (listing.format, len(listing.pictures), listing.refused) == (layout.value, count, ())


@pytest.mark.parametrize(("write", "layout", "count"), WRITERS)
def test_every_listed_picture_lies_below_the_root_in_the_order_of_paths(
    tmp_path: Path, write: Callable[[Path], Path], layout: SourceFormat, count: int
) -> None:
    listing = listing_of(write(tmp_path / "source"), SourceRequest(format=layout))
    paths = [picture.path for picture in listing.pictures]
    assert paths == sorted(set(paths))
    assert [(listing.root / path).is_file() for path in paths] == [True] * count


def test_given_splits_are_kept_whatever_their_case(tmp_path: Path) -> None:
    source = sources.write_split_folders(tmp_path / "source", splits=("TRAIN", "Validation", "test"))
    counted = Counter(picture.split for picture in listing_of(source).pictures)
    assert counted == {Split.TRAIN: 4, Split.VALIDATION: 4, Split.TEST: 4}


def test_class_folders_without_splits_give_none(tmp_path: Path) -> None:
    listing = listing_of(sources.write_folders(tmp_path / "source"))
    assert {picture.split for picture in listing.pictures} == {None}


def test_an_archive_that_unpacked_one_folder_deeper_is_read(tmp_path: Path) -> None:
    sources.write_isic(tmp_path / "source" / "Skin cancer ISIC The International Skin Imaging Collaboration")
    listing = listing_of(tmp_path / "source")
    assert (listing.format, len(listing.pictures)) == ("isic", 16)


def test_folders_nested_below_a_class_belong_to_it(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source")
    sources.write_picture(source / "benign" / "2019" / "may" / "x.JPG")
    labels = {picture.path: picture.label for picture in listing_of(source).pictures}
    assert labels["benign/2019/may/x.JPG"] == "benign"


@pytest.mark.parametrize("name", [".DS_Store", ".hidden.png"])
def test_what_is_hidden_is_passed_over(tmp_path: Path, name: str) -> None:
    source = sources.write_folders(tmp_path / "source")
    (source / "benign" / name).write_bytes(b"x")
    listing = listing_of(source)
    assert (len(listing.pictures), listing.refused) == (6, ())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("Thumbs.db", "other-file"), ("notes.txt", "other-file"), ("LICENSE", "other-file")),
        *(("1.avif", "unread-format"), ("1.DNG", "unread-format")),
    ],
)
def test_an_unreadable_file_in_a_class_folder_is_reported(tmp_path: Path, name: str, kind: str) -> None:
    source = sources.write_folders(tmp_path / "source")
    (source / "benign" / name).write_bytes(b"x")
    assert (len(listing_of(source).pictures), kinds(listing_of(source))) == (6, {f"benign/{name}": kind})


@pytest.mark.parametrize(("name", "is_listed"), [("x.jpg", True), ("x.DNG", True), ("x", False)])
def test_a_pipe_that_is_named_like_a_picture_is_listed(tmp_path: Path, name: str, is_listed: bool) -> None:
    source = sources.write_folders(tmp_path / "source")
    os.mkfifo(source / "benign" / name)
    assert kinds(listing_of(source)) == ({f"benign/{name}": "not-a-file"} if is_listed else {})


@pytest.mark.parametrize("name", ["IMG_0001", "IMG_0001.jfif"])
def test_a_picture_needs_no_known_extension(tmp_path: Path, name: str) -> None:
    source = sources.write_folders(tmp_path / "source")
    sources.write_picture(source / "benign" / "x.jpg").rename(source / "benign" / name)
    assert f"benign/{name}" in [picture.path for picture in listing_of(source).pictures]


def test_the_error_for_unsupported_formats_suggests_to_convert_them(tmp_path: Path) -> None:
    (tmp_path / "source" / "a").mkdir(parents=True)
    (tmp_path / "source" / "a" / "1.AVIF").write_bytes(b"x")
    with raises_code("unsupported-picture-format", 1, "a/1.AVIF", "JPEG"):
        listing_of(tmp_path / "source")


def test_a_hidden_folder_is_passed_over(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source")
    sources.write_picture(source / ".trash" / "x.png")
    assert {picture.label for picture in listing_of(source).pictures} == {"benign", "malignant"}


def test_a_picture_in_no_class_folder_is_refused(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source")
    sources.write_picture(source / "stray.png")
    assert kinds(listing_of(source)) == {"stray.png": "no-class"}


def test_an_empty_class_folder_is_reported(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source")
    (source / "rare").mkdir()
    assert kinds(listing_of(source)) == {"rare": "empty-class"}


def test_a_linked_picture_is_refused(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source")
    (source / "benign" / "link.png").symlink_to(sources.write_picture(tmp_path / "secret.png"))
    listing = listing_of(source)
    assert (len(listing.pictures), kinds(listing)) == (6, {"benign/link.png": "link"})


def test_a_linked_class_folder_is_refused_and_not_entered(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source")
    sources.write_picture(tmp_path / "elsewhere" / "x.png")
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    listing = listing_of(source)
    assert (len(listing.pictures), kinds(listing)) == (6, {"linked": "link"})


def test_a_link_to_its_own_parent_ends(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source")
    (source / "benign" / "loop").symlink_to(source)
    assert kinds(listing_of(source)) == {"benign/loop": "link"}


@pytest.mark.parametrize(
    "name", [b"two\nlines.png", b"back\\slash.png", b"latin-\xe9.png", b"esc\x1b[2J.png"]
)
def test_a_name_that_no_table_can_hold_is_refused(tmp_path: Path, name: bytes) -> None:
    source = sources.write_folders(tmp_path / "source")
    (source / "benign" / os.fsdecode(name)).write_bytes(b"x")
    listing = listing_of(source)
    (finding,) = listing.refused
    assert (finding.kind, len(listing.pictures)) == ("name", 6)
    finding.picture.encode("utf-8")


@pytest.mark.parametrize(
    ("first", "second"), [("train", "Train"), ("val", "validation")], ids=["case", "another word"]
)
def test_two_folders_for_one_split_are_an_error(tmp_path: Path, first: str, second: str) -> None:
    source = sources.write_split_folders(tmp_path / "source", splits=(first, second, "test"))
    with raises_code("invalid-split-folders", first, second):
        listing_of(source)


def test_splits_beside_classes_are_an_error(tmp_path: Path) -> None:
    source = sources.write_split_folders(tmp_path / "source", splits=("train",))
    sources.write_folders(source, ("eczema",))
    with raises_code("invalid-split-folders", "train", "eczema"):
        listing_of(source)


def test_a_class_named_test_without_folders_is_a_class(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source", ("test", "control"))
    assert {picture.label for picture in listing_of(source).pictures} == {"test", "control"}


def test_classes_that_differ_in_case_only_are_an_error(tmp_path: Path) -> None:
    source = sources.write_split_folders(tmp_path / "source", ("eczema",), splits=("train",))
    sources.write_split_folders(source, ("Eczema",), splits=("test",))
    with raises_code("labels-differ-in-case", "'Eczema'", "'eczema'"):
        listing_of(source)


@pytest.mark.parametrize("layout", list(SourceFormat))
def test_an_empty_source_is_an_error(tmp_path: Path, layout: SourceFormat) -> None:
    (tmp_path / "source").mkdir()
    without_table = (SourceFormat.AUTO, SourceFormat.FOLDERS, SourceFormat.DERMNET, SourceFormat.ISIC)
    with raises_code("no-pictures" if layout in without_table else "table-not-found", tmp_path / "source"):
        listing_of(tmp_path / "source", SourceRequest(format=layout))


@pytest.mark.parametrize("layout", list(SourceFormat))
def test_a_source_that_does_not_exist_is_an_error(tmp_path: Path, layout: SourceFormat) -> None:
    with raises_code("file-not-found", tmp_path / "none"):
        listing_of(tmp_path / "none", SourceRequest(format=layout))


CODE_OF_A_PICTURE = {
    SourceFormat.AUTO: "unknown-layout",
    SourceFormat.CSV: "invalid-table",
    SourceFormat.HMNIST: "table-not-found",
    SourceFormat.CIFAR10: "table-not-found",
}


@pytest.mark.parametrize("layout", list(SourceFormat))
def test_a_single_picture_as_the_source_is_an_error(tmp_path: Path, layout: SourceFormat) -> None:
    with raises_code(CODE_OF_A_PICTURE.get(layout, "not-a-directory"), tmp_path / "x.png"):
        listing_of(sources.write_picture(tmp_path / "x.png"), SourceRequest(format=layout))


def test_a_table_that_the_layout_does_not_read_is_an_error(tmp_path: Path) -> None:
    table = sources.write_hmnist_metadata(tmp_path)
    with raises_code("option-not-applicable", "--metadata", table, "folders", "--format"):
        listing_of(sources.write_folders(tmp_path / "source"), SourceRequest(metadata_file=table))


def test_the_error_for_an_unknown_source_names_the_supported_ones(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/notes.txt").write_text("no picture\n", encoding="utf-8")
    with raises_code("unknown-layout", "HAM10000_metadata.csv"):
        listing_of(tmp_path / "source")


@pytest.mark.parametrize("layout", [SourceFormat.AUTO, SourceFormat.FOLDERS, SourceFormat.CSV])
def test_an_archive_is_to_be_unpacked_first(tmp_path: Path, layout: SourceFormat) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("a/1.jpg", b"")
    with raises_code("source-is-archive", "pictures.zip", "(zip)"):
        listing_of(tmp_path / "pictures.zip", SourceRequest(format=layout))


def test_an_empty_folder_is_called_so(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with raises_code("no-pictures", source):
        listing_of(source)
    (source / "a/b").mkdir(parents=True)
    with raises_code("no-pictures", source):
        listing_of(source)


def test_a_heap_of_pictures_lacks_its_labels(tmp_path: Path) -> None:
    sources.write_picture(tmp_path / "source/0.png")
    with raises_code("no-labels", 1, "SOURCE/<class>", "CSV"):
        listing_of(tmp_path / "source")


def test_a_source_that_fits_two_layouts_names_both(tmp_path: Path) -> None:
    source = sources.write_cifar10(sources.write_ham10000(tmp_path / "source"))
    with raises_code("ambiguous-layout", "ham10000", "cifar10", "--format"):
        listing_of(source)


def test_pictures_are_read_rather_than_the_tables_of_their_pixels(tmp_path: Path) -> None:
    source = sources.write_hmnist(sources.write_ham10000(tmp_path / "source"))
    assert listing_of(source).format == "ham10000"


@pytest.mark.parametrize("write", [sources.write_hmnist, sources.write_cifar10])
def test_writing_pictures_is_tracked(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    passed: list[object] = []

    def counting(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:  # noqa: ARG001
        for item in items:
            passed.append(item)
            yield item

    (tmp_path / "pictures").mkdir()
    listing = read_source(
        write(tmp_path / "source"), SourceRequest(), pictures=tmp_path / "pictures", track=counting
    )
    assert len(passed) == len(listing.pictures)


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source")
    deep = source / "benign" / ("x" * 250)
    deep.mkdir()
    inside = os.open(deep, os.O_RDONLY)
    for _ in range(20):  # deeper than a path may be long
        os.mkdir("x" * 250, dir_fd=inside)
        inside, outer = os.open("x" * 250, os.O_RDONLY, dir_fd=inside), inside
        os.close(outer)
    os.close(inside)
    with raises_code("cannot-read", source):
        listing_of(source)


@pytest.mark.real_data
def test_the_real_ham10000_is_wholly_read(ham10000: Path, tmp_path: Path) -> None:
    listing = read_source(ham10000, SourceRequest(), pictures=tmp_path)
    assert (listing.format, len(listing.pictures), listing.refused) == ("ham10000", 5984, ())
