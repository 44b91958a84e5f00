"""A dataset folder appears whole, and lists everything that was found."""

from __future__ import annotations

import csv
import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dermpack.dataset.manifest import Dataset, Finding, Split, read_dataset
from dermpack.imaging.decoding import decode
from dermpack.imaging.metadata_removal import MetadataPolicy
from dermpack.imaging.rejection import DecodingLimits
from dermpack.progress import Item
from dermpack.storage.files import sha256_of
from tests.support.colour_patches import class_folders, jpeg, patch, png, write
from tests.support.errors import raises_code
from tests.support.hostile_pictures import encoded, scene
from tests.support.picture_sources import write_ham10000
from trainer.datasets.check import check_dataset
from trainer.datasets.importer import ImportRequest, PictureStorage, UnusablePolicy, import_dataset
from trainer.datasets.layouts.listing import SourceRequest
from trainer.datasets.splits.arrange import SplitPolicy, join_group_names
from trainer.datasets.splits.split import parse_shares


def asked(source: Path, **changes: Any) -> ImportRequest:
    """An import into `dataset` beside the source."""
    return replace(ImportRequest(source=source, output=source.parent / "dataset", jobs=1), **changes)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def kinds(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.kind, finding.picture) for finding in findings]


def split_folders(root: Path, *, train: int = 8, test: int = 3) -> Path:
    for number in range(train + test):
        part = "train" if number < train else "test"
        for index, label in enumerate(("a", "b")):
            write(root / part / label / f"{number}.png", png(patch(100 * index + number)))
    return root


def grouped_table(root: Path) -> Path:
    """Twelve pictures of four patients, with a table that names them."""
    rows = [("picture", "label", "patient")]
    for number in range(12):
        write(root / f"{number:02}.png", png(patch(number)))
        rows.append((f"{number:02}.png", "ab"[number % 2], f"p{number % 4}"))
    with (root / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


def test_meanings_are_recorded_for_the_classes(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    file = tmp_path / "meanings.toml"
    names = sorted(path.name for path in source.iterdir() if path.is_dir())
    file.write_text(f'"{names[0]}" = "a mole"\n', encoding="utf-8")
    import_dataset(asked(source, meanings_file=file))
    assert read_dataset(tmp_path / "dataset").meanings == {names[0]: "a mole"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('unknown = "a mole"', "unknown-label"),
        ("{first} = 3", "invalid-option"),
        ("{first} =", "invalid-toml"),
    ],
)
def test_invalid_meanings_are_rejected_before_the_work(tmp_path: Path, text: str, code: str) -> None:
    source = class_folders(tmp_path / "source")
    first = min(path.name for path in source.iterdir() if path.is_dir())
    file = tmp_path / "meanings.toml"
    file.write_text(text.replace("{first}", f'"{first}"'), encoding="utf-8")
    with raises_code(code):
        import_dataset(asked(source, meanings_file=file))
    assert not (tmp_path / "dataset").exists()


def test_the_folder_reads_back_as_it_was_answered(tmp_path: Path) -> None:
    dataset = import_dataset(asked(class_folders(tmp_path / "source"), licence="CC0", caution="demo"))
    assert read_dataset(tmp_path / "dataset") == dataset
    assert (dataset.classes, dataset.format, dataset.source) == (("class0", "class1"), "folders", "source")
    assert (dataset.licence, dataset.root, len(dataset.pictures)) == ("CC0", "../source", 12)
    assert read_dataset(tmp_path / "dataset").caution == dataset.caution == "demo"
    assert check_dataset(tmp_path / "dataset").problems == ()


def test_the_source_stays_as_it_is(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    before = files_of(source)
    import_dataset(asked(source, storage=PictureStorage.COPIED))
    assert files_of(source) == before


def test_the_same_import_gives_the_same_bytes(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    import_dataset(asked(source))
    import_dataset(asked(source, output=tmp_path / "again", jobs=2))
    assert files_of(tmp_path / "dataset") == files_of(tmp_path / "again")


def test_copied_pictures_are_the_same_bytes(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    dataset = import_dataset(asked(source, storage=PictureStorage.COPIED))
    assert dataset.root == "pictures"
    assert files_of(tmp_path / "dataset" / "pictures") == files_of(source)


def add_metadata(source: Path) -> Path:
    """Turn the first picture into one with a name and an orientation in EXIF, and return it."""
    file = next(path for path in sorted(source.rglob("*")) if path.is_file())
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Anna Muster"
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    picture.save(file, "PNG" if file.suffix == ".png" else "JPEG", exif=exif)
    return file


@pytest.mark.parametrize("storage", list(PictureStorage))
@pytest.mark.parametrize("policy", list(MetadataPolicy))
def test_only_copies_lose_their_metadata(
    tmp_path: Path, storage: PictureStorage, policy: MetadataPolicy
) -> None:
    source = class_folders(tmp_path / "source")
    file = add_metadata(source)
    before = files_of(source)
    dataset = import_dataset(asked(source, storage=storage, metadata=policy))
    assert files_of(source) == before
    assert check_dataset(tmp_path / "dataset").problems == ()
    path = file.relative_to(source).as_posix()
    (picture,) = [each for each in dataset.pictures if each.path == path]
    found = dataset.file(picture).read_bytes()
    assert sha256_of(found) == picture.sha256
    assert np.array_equal(decode(found).pixels, decode(file.read_bytes()).pixels)
    is_removed = storage is PictureStorage.COPIED and policy is MetadataPolicy.REMOVE
    assert (b"Anna Muster" in found) != is_removed
    noted = [note.picture for note in dataset.notes if note.kind == "metadata-removed"]
    assert noted == ([path] if is_removed else [])
    others = [each for each in dataset.pictures if each.path != path]
    assert all(dataset.file(each).read_bytes() == (source / each.path).read_bytes() for each in others)


def test_a_picture_whose_metadata_cannot_be_removed_is_named(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    folder = next(path for path in sorted(source.iterdir()) if path.is_dir())
    data = bytearray(encoded(scene(), "TIFF"))
    # Without the sizes of its strips, an uncompressed TIFF can still be decoded.
    (start,) = struct.unpack_from("<I", data, 4)
    for entry in range(struct.unpack_from("<H", data, start)[0]):
        at = start + 2 + 12 * entry
        if struct.unpack_from("<H", data, at)[0] == 279:
            struct.pack_into("<I", data, at + 8, 5)
    (folder / "odd.tif").write_bytes(data)
    with raises_code("picture-unsupported", folder / "odd.tif", "--keep-metadata"):
        import_dataset(asked(source, storage=PictureStorage.COPIED))
    assert not (tmp_path / "dataset").exists()
    kept = asked(source, storage=PictureStorage.COPIED, metadata=MetadataPolicy.KEEP)
    assert import_dataset(kept).root == "pictures"


def test_pictures_without_a_group_are_groups_of_their_own(tmp_path: Path) -> None:
    dataset = import_dataset(asked(class_folders(tmp_path / "source")))
    assert [picture.group for picture in dataset.pictures] == [picture.path for picture in dataset.pictures]


def test_a_column_may_be_the_group(tmp_path: Path) -> None:
    dataset = import_dataset(asked(grouped_table(tmp_path / "source"), group_column="patient"))
    split_of = {(picture.group, picture.split) for picture in dataset.pictures}
    assert sorted(group for group, _ in split_of) == ["p0", "p1", "p2", "p3"]


def test_the_column_that_is_the_group_is_no_metadata_beside_it(tmp_path: Path) -> None:
    dataset = import_dataset(asked(grouped_table(tmp_path / "source"), group_column="Patient"))
    assert dataset.manifest.columns == ()
    assert all(picture.metadata == () for picture in dataset.pictures)


def lesions_and_patients(root: Path) -> Path:
    """Lesions of two pictures; a patient is named in the second of one lesion and the first of the next."""
    rows = [("picture", "label", "group", "patient")]
    for number in range(16):
        write(root / f"{number:02}.png", png(patch(number)))
        patient = f"p{(number + 1) // 2 // 2}" if number % 4 in (1, 2) else ""
        rows.append((f"{number:02}.png", "ab"[number // 4 % 2], f"l{number // 2}", patient))
    with (root / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


def test_an_asked_group_joins_the_groups_of_the_source(tmp_path: Path) -> None:
    source = lesions_and_patients(tmp_path / "source")
    dataset = import_dataset(asked(source, group_column="patient"))
    split_of = {f"l{index // 2}": set[Split]() for index in range(16)}
    for index, picture in enumerate(dataset.pictures):
        split_of[f"l{index // 2}"].add(picture.split)
    assert all(len(splits) == 1 for splits in split_of.values())
    assert {(picture.group, picture.split) for picture in dataset.pictures} == {
        (group, next(p.split for p in dataset.pictures if p.group == group))
        for group in ("p0", "p1", "p2", "p3")
    }


def test_a_group_without_an_asked_name_keeps_its_own_apart_from_the_asked_ones() -> None:
    assert join_group_names(["l1", "l1", "", "x", ""], ["p2", "p1", "p1", "", "x"]) == [
        *("p1", "p1", "p1"),
        *("x (of the source)", "x"),
    ]


def test_the_column_that_is_the_group_already_may_be_asked_for(tmp_path: Path) -> None:
    import_dataset(asked(write_ham10000(tmp_path / "source")))
    import_dataset(asked(tmp_path / "source", output=tmp_path / "again", group_column="lesion_id"))
    assert (tmp_path / "dataset" / "manifest.csv").read_bytes() == (
        tmp_path / "again" / "manifest.csv"
    ).read_bytes()


def test_an_unknown_group_column_is_refused_before_a_picture_is_opened(tmp_path: Path) -> None:
    seen: list[str] = []

    def track(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:  # noqa: ARG001 - a Track
        seen.append(what)
        return iter(items)

    with raises_code("unknown-column", "--group lesion"):
        import_dataset(asked(class_folders(tmp_path / "source"), group_column="lesion"), track=track)
    assert "examine" not in seen


def test_an_unknown_group_column_is_an_error_that_names_the_others(tmp_path: Path) -> None:
    with raises_code("unknown-column", "--group lesion", "patient"):
        import_dataset(asked(grouped_table(tmp_path / "source"), group_column="lesion"))
    assert not (tmp_path / "dataset").exists()


def test_a_picture_under_two_labels_is_left_out_on_both_sides(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    write(source / "class0" / "same.png", png(patch(900)))
    Image.fromarray(patch(900)).save(source / "class1" / "other.bmp")
    dataset = import_dataset(asked(source))
    assert kinds(dataset.refused) == [
        ("contradiction", "class0/same.png"),
        ("contradiction", "class1/other.bmp"),
    ]
    assert len(dataset.pictures) == 12


def test_identical_pictures_of_one_label_stay_together(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    write(source / "class0" / "copy.png", png(patch(0)))
    dataset = import_dataset(asked(source))
    pair = [picture for picture in dataset.pictures if picture.cluster]
    assert [(picture.path, picture.cluster) for picture in pair] == [
        ("class0/0.png", "c0001"),
        ("class0/copy.png", "c0001"),
    ]
    assert len({picture.split for picture in pair}) == 1
    assert kinds(dataset.notes) == [("identical", "class0/copy.png")]


def test_near_duplicates_under_two_labels_are_kept_and_reported(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    write(source / "class1" / "near.jpg", jpeg(patch(0), quality=80))
    dataset = import_dataset(asked(source))
    assert len(dataset.pictures) == 13
    assert kinds(dataset.notes) == [("near-duplicate-other-label", "class1/near.jpg")]


def test_a_copy_of_a_near_duplicate_is_identical_to_it(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    for name in ("near", "same"):
        write(source / "class0" / f"{name}.jpg", jpeg(patch(0), quality=80))
    assert kinds(import_dataset(asked(source)).notes) == [
        ("near-duplicate", "class0/near.jpg"),
        ("identical", "class0/same.jpg"),
    ]


def test_bad_pictures_are_left_out_with_their_reason(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    write(source / "class0" / "bad.png", png(patch(0))[:200])
    write(source / "class1" / "empty.jpg", b"")
    dataset = import_dataset(asked(source))
    assert kinds(dataset.refused) == [("truncated", "class0/bad.png"), ("empty", "class1/empty.jpg")]


def test_a_strict_import_stops_at_bad_pictures(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    write(source / "class0" / "bad.png", b"")
    with raises_code("unusable-pictures", 1, "class0/bad.png (empty)", "--strict"):
        import_dataset(asked(source, refusals=UnusablePolicy.FATAL))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_the_pixel_limit_is_the_asked_one(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    write(source / "class0" / "large.png", png(np.zeros((60, 60, 3), dtype=np.uint8)))
    dataset = import_dataset(asked(source, limits=DecodingLimits(max_pixels=50 * 50)))
    assert kinds(dataset.refused) == [("too-large", "class0/large.png")]


def test_a_source_without_usable_pictures_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "source" / "a" / "1.png", b"")
    write(tmp_path / "source" / "b" / "1.png", b"junk")
    with raises_code("no-pictures", "a/1.png (empty)"):
        import_dataset(asked(tmp_path / "source"))


def test_a_single_class_is_an_error(tmp_path: Path) -> None:
    with raises_code("single-class", "class0"):
        import_dataset(asked(class_folders(tmp_path / "source", classes=1)))


def test_a_class_that_a_split_lacks_is_reported(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    for number in range(2):
        write(source / "rare" / f"{number}.png", png(patch(700 + number)))
    dataset = import_dataset(asked(source))
    assert [finding.kind for finding in dataset.notes] == ["missing-class"]
    assert "rare has no picture in" in dataset.notes[0].detail


def test_an_existing_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    write(tmp_path / "dataset" / "precious.txt", b"mine")
    with raises_code("output-exists", tmp_path / "dataset"):
        import_dataset(asked(tmp_path / "nowhere", overwrite=True))
    assert (tmp_path / "dataset" / "precious.txt").read_bytes() == b"mine"


def test_a_failed_import_leaves_the_old_dataset(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source")
    import_dataset(asked(source))
    before = files_of(tmp_path / "dataset")
    write(source / "class0" / "bad.png", b"")
    with raises_code("unusable-pictures", "class0/bad.png"):
        import_dataset(asked(source, overwrite=True, refusals=UnusablePolicy.FATAL))
    assert files_of(tmp_path / "dataset") == before


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("source/dataset", "output-inside-input"),
        (".", "output-contains-input"),
        ("source", "output-inside-input"),
    ],
)
def test_source_and_output_may_not_lie_in_each_other(tmp_path: Path, output: str, code: str) -> None:
    source = class_folders(tmp_path / "source")
    write(tmp_path / "dataset.json", b"{}")
    write(source / "dataset.json", b"{}")
    with raises_code(code, source):
        import_dataset(asked(source, output=tmp_path / output, overwrite=True))


def test_given_splits_are_kept_and_validation_is_cut_from_train(tmp_path: Path) -> None:
    dataset = import_dataset(asked(split_folders(tmp_path / "source")))
    given = {"train": {Split.TRAIN, Split.VALIDATION}, "test": {Split.TEST}}
    assert all(picture.split in given[picture.path.partition("/")[0]] for picture in dataset.pictures)
    assert dataset.manifest.of(Split.VALIDATION)


def test_new_splits_forget_the_given_ones(tmp_path: Path) -> None:
    source = split_folders(tmp_path / "source")
    dataset = import_dataset(asked(source, splits=SplitPolicy.NEW, shares=parse_shares("0/0/1")))
    assert {picture.split for picture in dataset.pictures} == {Split.TEST}


def leaking(root: Path) -> Path:
    source = split_folders(root)
    write(source / "train" / "a" / "copy.jpg", jpeg(patch(9)))  # of test/a/9.png
    return source


def test_a_leak_of_given_splits_is_reported(tmp_path: Path) -> None:
    dataset = import_dataset(asked(leaking(tmp_path / "source")))
    assert ("leak", "train/a/copy.jpg") in kinds(dataset.notes)
    assert "cluster-leak" in {finding.kind for finding in check_dataset(tmp_path / "dataset").problems}


def test_a_mended_leak_leaves_the_test_split_as_given(tmp_path: Path) -> None:
    dataset: Dataset = import_dataset(asked(leaking(tmp_path / "source"), splits=SplitPolicy.MENDED))
    assert kinds(dataset.refused) == [("leak", "train/a/copy.jpg")]
    assert len(dataset.manifest.of(Split.TEST)) == 6
    assert check_dataset(tmp_path / "dataset").problems == ()


def test_a_binary_task_is_made_of_the_asked_classes(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "source", classes=3)
    dataset = import_dataset(asked(source, reading=SourceRequest(positive=("class1",))))
    assert len(dataset.classes) == 2
    assert dataset.options["positive"] == "class1"


@pytest.mark.parametrize("storage", list(PictureStorage))
def test_a_folder_that_utf8_cannot_name_is_refused_or_copied(tmp_path: Path, storage: PictureStorage) -> None:
    source = class_folders(tmp_path / os.fsdecode(b"odd\xff"))
    if storage is PictureStorage.COPIED:
        assert import_dataset(asked(source, storage=storage)).source == "odd\\xff"
        assert check_dataset(tmp_path / "dataset").problems == ()
    else:
        with raises_code("path-not-utf8", "odd", "--copy"):
            import_dataset(asked(source, storage=storage))
        assert not (tmp_path / "dataset").exists()


def test_text_of_any_bytes_is_kept_readable(tmp_path: Path) -> None:
    dataset = import_dataset(asked(class_folders(tmp_path / "source"), licence=os.fsdecode(b"CC\xff")))
    assert read_dataset(tmp_path / "dataset").licence == dataset.licence == "CC\\xff"


def test_the_recorded_options_include_the_defaults(tmp_path: Path) -> None:
    plain = import_dataset(asked(class_folders(tmp_path / "source")))
    assert plain.options == {"seed": "0", "split": "70/15/15", "splits": "new"}
    given = import_dataset(asked(split_folders(tmp_path / "given"), output=tmp_path / "kept"))
    assert given.options["splits"] == "as given"


def test_copies_of_a_part_do_not_stop_a_strict_import(tmp_path: Path) -> None:
    source = write_ham10000(tmp_path / "source")
    shutil.copytree(source / "HAM10000_images_part_1", source / "ham10000_images_part_1")
    dataset = import_dataset(asked(source, refusals=UnusablePolicy.FATAL))
    assert kinds(dataset.refused) == [("copies", "ham10000_images_part_1")]
