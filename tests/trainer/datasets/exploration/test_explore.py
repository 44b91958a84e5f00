from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dermpack.dataset.manifest import Finding, Split
from dermpack.progress import Item
from dermpack.reporting.page import Callout, Level
from tests.support.training_dataset import dataset, of_pictures, picture
from trainer.datasets.exploration.columns import (
    MAX_VALUES,
    MISSING,
    OTHER,
    ColumnKind,
    count_classes,
    read_column,
)
from trainer.datasets.exploration.dataset_warnings import NO_GROUPS, find_warnings
from trainer.datasets.exploration.explore import MAX_CROSSED, explore_dataset

LABELS = ["mel", "nv", "nv", "nv"] * 10


@pytest.mark.parametrize("word", ["", " ", "unknown", "Unknown", "NaN", "nan", "N/A", "none", "NULL", "?"])
def test_a_word_for_nothing_is_missing(word: str) -> None:
    assert read_column("sex", ["male", "female", word]).missing == 1


def test_numbers_as_text_are_numbers() -> None:
    column = read_column("age", ["45", " 50.0 ", "1e1", "unknown"])
    assert column.kind is ColumnKind.NUMBERS
    assert column.numbers[:3] == (45.0, 50.0, 10.0)


@pytest.mark.parametrize("cell", ["inf", "1_000", "٣٤", "0x10", "1e999", "1,5"])
def test_what_only_python_takes_for_a_number_is_unreadable(cell: str) -> None:
    column = read_column("age", [*map(str, range(20, 60)), *["30"] * 40, cell])
    assert column.kind is ColumnKind.NUMBERS
    assert (column.unreadable, column.missing) == (1, 1)


def test_few_whole_numbers_are_codes() -> None:
    assert read_column("skin_tone", ["1", "2", "3", "6"] * 20).kind is ColumnKind.CATEGORIES


def test_a_cell_for_each_picture_names_it() -> None:
    assert read_column("id", [f"ISIC_{index}" for index in range(40)]).kind is ColumnKind.NAMES
    assert read_column("id", [str(index) for index in range(40)]).kind is ColumnKind.NAMES


@pytest.mark.parametrize(
    ("cells", "kind"), [(["a", "a", ""], ColumnKind.CONSTANT), (["", "nan"], ColumnKind.EMPTY)]
)
def test_a_column_without_difference_is_no_category(cells: list[str], kind: ColumnKind) -> None:
    assert read_column("x", cells).kind is kind


def test_ages_fall_into_decades() -> None:
    crossed = count_classes(read_column("age", ["0", "9", "40", "95", ""]), ["nv"] * 5, ["nv"])
    assert crossed.values == ("0–9", "40–49", "90+", MISSING)
    assert crossed.counts == ((2,), (1,), (1,), (1,))


@pytest.mark.parametrize("age", ["-1", "999"])
def test_an_impossible_age_is_missing(age: str) -> None:
    column = read_column("age", [*map(str, range(20, 60)), age])
    assert (column.kind, column.unreadable, column.missing) == (ColumnKind.NUMBERS, 1, 1)


def test_codes_stand_in_their_own_order() -> None:
    crossed = count_classes(read_column("skin_tone", ["6", "6", "1", "10", "2"]), ["nv"] * 5, ["nv"])
    assert crossed.values == ("1", "2", "6", "10")


def test_skin_types_in_roman_numbers_stand_in_their_own_order() -> None:
    column = read_column("skin_tone", ["IV"] * 9 + ["VI"] * 5 + ["I"] * 3 + ["V"] * 2)
    assert count_classes(column, ["nv"] * 19, ["nv"]).values == ("I", "IV", "V", "VI")


def test_other_numbers_fall_into_bands_that_part_them() -> None:
    cells = [f"{index / 10}" for index in range(101)]
    crossed = count_classes(read_column("diameter", cells), ["nv"] * 101, ["nv"])
    assert crossed.values == ("0 to < 2", "2 to < 4", "4 to < 6", "6 to < 8", "8 to < 10", "10 to < 12")


def test_whole_numbers_fall_into_bands_as_in_an_evaluation() -> None:
    crossed = count_classes(
        read_column("Alter", [str(index) for index in range(25, 90, 5)] * 2), ["nv"] * 26, ["nv"]
    )
    assert crossed.values[:2] == ("20 to 29", "30 to 39")


def test_classes_are_counted_within_each_value() -> None:
    crossed = count_classes(
        read_column("sex", ["m", "m", "f", "nan"]), ["nv", "mel", "nv", "nv"], ["mel", "nv"]
    )
    assert dict(zip(crossed.values, crossed.counts, strict=True)) == {
        "m": (1, 1),
        "f": (0, 1),
        MISSING: (0, 1),
    }


def test_thousands_of_values_are_twenty_and_the_others() -> None:
    cells = [f"clinic {index % 2000}" for index in range(10_000)]
    crossed = count_classes(read_column("clinic", cells), ["nv"] * 10_000, ["nv"])
    assert len(crossed.values) == MAX_VALUES + 1
    assert crossed.values[-1] == OTHER
    assert crossed.folded == 2000 - MAX_VALUES
    assert sum(sum(row) for row in crossed.counts) == 10_000


def test_only_columns_that_are_there_are_crossed(tmp_path: Path) -> None:
    sex = ["male", "female"] * 20
    explored = explore_dataset(dataset(tmp_path, LABELS, {"sex": sex}), seed=0)
    assert [crossing.column for crossing in explored.crossings] == ["sex"]
    assert explore_dataset(dataset(tmp_path, LABELS), seed=0).crossings == ()


def test_hundreds_of_columns_do_not_make_hundreds_of_plots(tmp_path: Path) -> None:
    columns = {f"c{index}": ["a", "b"] * 20 for index in range(100)}
    assert len(explore_dataset(dataset(tmp_path, LABELS, columns), seed=0).crossings) == MAX_CROSSED


def test_pictures_and_groups_are_counted_by_class_and_split(tmp_path: Path) -> None:
    rows = [replace(picture(index, "nv"), group="one", split=Split.TRAIN) for index in range(3)]
    explored = explore_dataset(of_pictures(tmp_path, rows), seed=0)
    assert explored.counts["train"] == {"nv": 3}
    assert explored.groups["train"] == {"nv": 1}


def test_a_group_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    rows = [
        replace(picture(0, "nv"), group="one", split=Split.TRAIN),
        replace(picture(1, "nv"), group="one", split=Split.TEST),
    ]
    explored = explore_dataset(of_pictures(tmp_path, rows), seed=0)
    assert explored.kinship.groups_across_splits == explored.kinship.leaks == 1
    assert find_warnings(explored)[0].level is Level.WARNING
    assert "1 group, 0 clusters" in find_warnings(explored)[0].text


def test_a_dataset_without_given_groups_has_a_note(tmp_path: Path) -> None:
    grouped = dataset(tmp_path, LABELS)
    alone = [replace(each, group=each.path) for each in grouped.pictures]  # as the import writes it
    for pictures, is_noted in (
        (grouped.pictures, False),
        (alone, True),
        ([*alone[1:], picture(0, "nv")], False),
    ):
        remarks = find_warnings(explore_dataset(of_pictures(tmp_path, pictures), seed=0))
        assert (Callout(Level.NOTE, NO_GROUPS) in remarks) == is_noted


def test_near_duplicates_in_two_splits_are_a_leak_and_come_first(tmp_path: Path) -> None:
    rows = [replace(picture(index, "nv"), cluster="a", split=Split.TRAIN) for index in range(5)]
    rows += [replace(picture(7, "nv"), cluster="b"), replace(picture(6, "nv"), cluster="b")]
    kin = explore_dataset(of_pictures(tmp_path, rows), seed=0).kinship
    assert kin.clusters_across_splits == 1
    assert [cluster.name for cluster in kin.largest_clusters] == ["b", "a"]
    assert kin.cluster_sizes == ((2, 1), (5, 1))


def test_a_repeated_file_in_two_splits_is_reported_once(tmp_path: Path) -> None:
    twins = [replace(picture(index, "nv"), cluster="c", sha256="same") for index in range(2)]
    rows = [replace(twins[0], split=Split.TRAIN), replace(twins[1], split=Split.TEST)]
    explored = explore_dataset(of_pictures(tmp_path, rows), seed=0)
    warnings = [each.text for each in find_warnings(explored) if each.level is Level.WARNING]
    assert [text.startswith("1 picture leaks: ") for text in warnings] == [True]


def test_a_folder_or_class_left_out_is_no_picture_left_out(tmp_path: Path) -> None:
    left_out = [Finding(kind=kind, picture="x", detail="y") for kind in ("empty", "empty-class", "unmapped")]
    explored = explore_dataset(replace(dataset(tmp_path, LABELS), refused=tuple(left_out)), seed=0)
    assert explored.unusable == 1


def test_without_columns_no_column_is_tracked(tmp_path: Path) -> None:
    seen: list[str] = []

    def track(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:  # noqa: ARG001 - a Track
        seen.append(what)
        return iter(items)

    explore_dataset(dataset(tmp_path, LABELS), seed=0, track=track)
    assert "columns" not in seen


def test_the_same_file_under_two_labels_is_a_contradiction(tmp_path: Path) -> None:
    rows = [picture(0, "nv"), replace(picture(1, "mel"), sha256=picture(0, "nv").sha256)]
    explored = explore_dataset(of_pictures(tmp_path, rows), seed=0)
    assert explored.kinship.files_across_classes == 1
    assert any("more than one label" in remark.text for remark in find_warnings(explored))


def test_a_clean_dataset_is_called_clean(tmp_path: Path) -> None:
    explored = explore_dataset(dataset(tmp_path, ["mel"] * 200 + ["nv"] * 200), seed=0)
    assert [remark.level for remark in find_warnings(explored)] == [Level.GOOD]


def test_a_rare_class_is_a_warning(tmp_path: Path) -> None:
    explored = explore_dataset(dataset(tmp_path, ["nv"] * 380 + ["mel"] * 20), seed=0)
    first = find_warnings(explored)[0]
    assert first.level is Level.WARNING
    assert "“nv” has 19 times as many pictures as “mel”" in first.text


def test_pictures_left_out_are_counted_by_reason(tmp_path: Path) -> None:
    left_out = [Finding(kind=kind, picture="x", detail="y") for kind in ("empty", "truncated", "empty")]
    explored = explore_dataset(replace(dataset(tmp_path, LABELS), refused=tuple(left_out)), seed=0)
    assert explored.refused == (("empty", 2), ("truncated", 1))


def test_each_kind_of_omission_has_its_remark(tmp_path: Path) -> None:
    kinds = (*["missing-extra"] * 60, *["contradiction"] * 2, *["by-map"] * 4, "other-file")
    refused = tuple(Finding(kind=kind, picture="x", detail="y") for kind in kinds)
    explored = explore_dataset(replace(dataset(tmp_path, ["mel", "nv"] * 115), refused=refused), seed=0)
    warnings = [remark.text for remark in find_warnings(explored) if remark.level is Level.WARNING]
    notes = [remark.text for remark in find_warnings(explored) if remark.level is Level.NOTE]
    assert "60 of 292 pictures (20.5%)" in warnings[0]
    assert 'pip install "dermpack[heic]"' in warnings[0]
    assert "2 pictures have an identical copy with another label" in warnings[1]
    assert "62 pictures (21.2%)" in warnings[2]
    assert "4 pictures were left out by --map." in notes


def test_sizes_are_spread_and_counted(tmp_path: Path) -> None:
    rows = [replace(picture(index, "nv"), width=100 * index + 100, height=100) for index in range(3)]
    sizes = explore_dataset(of_pictures(tmp_path, rows), seed=0).resolution
    assert sizes is not None
    assert (sizes.widths.least, sizes.widths.median, sizes.widths.most) == (100, 200, 300)
    assert sizes.aspects.most == 3.0
    assert sum(sizes.short_side.counts) == sum(sizes.aspect.counts) == sizes.different == 3


def test_an_empty_dataset_can_be_explored(tmp_path: Path) -> None:
    explored = explore_dataset(of_pictures(tmp_path, []), seed=0)
    assert explored.pictures == 0
    assert explored.resolution is None
    assert explored.importance.refusal
    assert find_warnings(explored) == ()
