"""An import keeps what the thorough search finds in one split; given splits that part it are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dermpack.dataset.manifest import DuplicateSearch, PairRelation, Split, read_dataset, write_dataset
from tests.support.colour_patches import detailed_patch, png, write
from trainer.datasets.check import check_dataset, recheck_duplicates
from trainer.datasets.importer import ImportRequest, import_dataset
from trainer.datasets.splits.arrange import SplitPolicy

CROP = slice(20, 150)


def write_source(folder: Path, *, parts: Sequence[str] = ("",)) -> Path:
    """Write two classes of four pictures into the first part, and a crop of one into the last."""
    for number in range(8):
        label, pixels = f"class{number // 4}", detailed_patch(number, size=160)
        write(folder / parts[0] / label / f"{number}.png", png(pixels))
        if number in (1, 5):
            write(folder / parts[-1] / label / f"crop{number}.png", png(pixels[CROP, CROP]))
    return folder


def import_source(
    source: Path,
    *,
    search: DuplicateSearch | None = None,
    splits: SplitPolicy = SplitPolicy.AS_GIVEN,
) -> Path:
    output = source.parent / "dataset"
    import_dataset(
        ImportRequest(source=source, output=output, duplicates=search, splits=splits, jobs=1, overwrite=True)
    )
    return output


def test_a_crop_is_in_the_split_of_its_photograph(tmp_path: Path) -> None:
    dataset = read_dataset(import_source(write_source(tmp_path / "source")))
    assert dataset.search is DuplicateSearch.THOROUGH
    assert [(pair.first, pair.second, pair.relation) for pair in dataset.pairs] == [
        (f"class{label}/{number}.png", f"class{label}/crop{number}.png", PairRelation.SAME_PHOTOGRAPH)
        for label, number in ((0, 1), (1, 5))
    ]
    pictures = {picture.path: picture for picture in dataset.pictures}
    for pair in dataset.pairs:
        first, second = pictures[pair.first], pictures[pair.second]
        assert (first.cluster, first.photograph, first.split) == (
            second.cluster,
            second.photograph,
            second.split,
        )
        assert first.photograph


def test_given_splits_that_part_a_crop_are_counted_and_can_be_repaired(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", parts=("train", "test"))
    noted = read_dataset(import_source(source))
    leaks = [finding.picture for finding in noted.notes if finding.kind == "leak"]
    assert leaks == ["train/class0/1.png", "train/class1/5.png"]
    mended = read_dataset(import_source(source, splits=SplitPolicy.MENDED))
    assert {picture.path for picture in noted.pictures} - {p.path for p in mended.pictures} == set(leaks)
    assert mended.pairs == ()


@pytest.mark.parametrize("search", [DuplicateSearch.FAST, DuplicateSearch.OFF])
def test_a_weaker_search_is_recorded(search: DuplicateSearch, tmp_path: Path) -> None:
    dataset = read_dataset(import_source(write_source(tmp_path / "source"), search=search))
    assert (dataset.search, dataset.pairs) == (search, ())


def test_a_check_searches_again_thoroughly(tmp_path: Path) -> None:
    folder = import_source(write_source(tmp_path / "source"), search=DuplicateSearch.FAST)
    dataset = read_dataset(folder)
    parted = [
        replace(picture, split=Split.TEST if "crop1" in picture.path else Split.TRAIN)
        for picture in dataset.pictures
    ]
    write_dataset(replace(dataset, manifest=replace(dataset.manifest, pictures=tuple(parted))), folder)
    assert check_dataset(folder).problems == ()
    again = recheck_duplicates(read_dataset(folder), jobs=1)
    assert [(finding.kind, finding.picture) for finding in again] == [
        ("unrecorded-leak", "class0/1.png"),
    ]
    assert recheck_duplicates(read_dataset(folder), search=DuplicateSearch.FAST, jobs=1) == ()
