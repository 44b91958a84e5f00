"""Any task is made of the classes of any layout, and nothing vanishes unsaid."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dermpack.errors import TableError
from tests.support import picture_sources as sources
from tests.support.errors import raises_code
from trainer.datasets.layouts.label_mapping import normalize_class
from trainer.datasets.layouts.listing import Listing, SourceRequest
from trainer.datasets.layouts.read_source import read_source


@pytest.fixture
def dermnet(tmp_path: Path) -> Path:
    return sources.write_dermnet(tmp_path / "dermnet")


def labels(listing: Listing) -> dict[str, int]:
    return dict(Counter(picture.label for picture in listing.pictures))


def mapped(
    source: Path, *rows: tuple[str, ...], header: tuple[str, ...] = ("class", "pattern", "label")
) -> Listing:
    table = sources.write_table(source.parent / "map.csv", (header, *rows))
    return read_source(source, SourceRequest(map_file=table), pictures=source)


def chosen(source: Path, positive: tuple[str, ...], negative: tuple[str, ...] = ()) -> Listing:
    return read_source(source, SourceRequest(positive=positive, negative=negative), pictures=source)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Eczema Photos", "eczema"),
        ("  Psoriasis  pictures", "psoriasis"),
        ("nevus", "nevus"),
        ("Photos", "photos"),
    ],
)
def test_a_class_name_is_a_label_in_its_plain_spelling(name: str, label: str) -> None:
    assert normalize_class(name) == label


def test_a_positive_class_stands_against_all_others(dermnet: Path) -> None:
    listing = chosen(dermnet, ("Eczema Photos",))
    assert (labels(listing), listing.refused) == ({"Eczema": 4, "not Eczema": 8}, ())


@pytest.mark.parametrize("name", ["eczema", "ECZEMA PHOTOS"])
def test_a_class_is_found_by_its_plain_name(dermnet: Path, name: str) -> None:
    assert labels(chosen(dermnet, (name,))) == {"Eczema": 4, "not Eczema": 8}


def test_several_positive_classes_are_one_label(dermnet: Path) -> None:
    listing = chosen(dermnet, ("Eczema Photos", "Atopic Dermatitis Photos"))
    joined = "Eczema or Atopic Dermatitis"
    assert labels(listing) == {joined: 8, f"not {joined}": 4}


def test_classes_that_are_neither_are_left_out_and_counted(dermnet: Path) -> None:
    listing = chosen(dermnet, ("Eczema Photos",), ("Atopic Dermatitis Photos",))
    (finding,) = listing.refused
    assert labels(listing) == {"Eczema": 4, "not Eczema": 4}
    assert (finding.kind, finding.picture) == ("unmapped", "Acne and Rosacea Photos")
    assert "4 pictures" in finding.detail


def test_a_misspelled_class_is_answered_with_the_nearest(dermnet: Path) -> None:
    with raises_code("unknown-label", "--positive", "'Exzema Photos'", "'Eczema Photos'"):
        chosen(dermnet, ("Exzema Photos",))


def test_a_class_that_is_like_none_is_answered_with_all(dermnet: Path) -> None:
    names = sorted(path.name for path in (dermnet / "train").iterdir())
    with raises_code("unknown-label", "'Melanoma'", *map(repr, names)):
        chosen(dermnet, ("Melanoma",))


def test_an_unknown_class_of_a_map_is_quoted_as_written(dermnet: Path) -> None:
    with raises_code("unknown-label", "map.csv:2", "'Mole'"):
        mapped(dermnet, ("Mole", "", "mole"))


def test_a_class_cannot_be_positive_and_negative(dermnet: Path) -> None:
    with raises_code("conflicting-options", "--negative", "'Eczema Photos'", "--positive"):
        chosen(dermnet, ("Eczema Photos",), ("eczema",))


def test_a_negative_class_alone_is_an_error(dermnet: Path) -> None:
    with raises_code("missing-option", "--negative", "--positive"):
        chosen(dermnet, (), ("eczema",))


def test_a_map_beside_a_positive_class_is_an_error(dermnet: Path) -> None:
    with raises_code("conflicting-options", "--map", "--positive"):
        read_source(dermnet, SourceRequest(positive=("eczema",), map_file=dermnet), pictures=dermnet)


def test_a_map_merges_and_renames(dermnet: Path) -> None:
    listing = mapped(
        dermnet,
        ("Eczema Photos", "", "itchy"),
        ("Atopic Dermatitis Photos", "", "itchy"),
        ("Acne and Rosacea Photos", "", "acne"),
    )
    assert labels(listing) == {"itchy": 8, "acne": 4}


def test_the_first_fitting_row_wins(dermnet: Path) -> None:
    listing = mapped(dermnet, ("Eczema Photos", "*-0.png", "first"), ("*", "", "other"))
    assert labels(listing) == {"first": 2, "other": 10}


def test_a_map_picks_by_file_name_in_any_case(dermnet: Path) -> None:
    listing = mapped(dermnet, ("eczema photos", "ECZEMA*-1.PNG", "picked"))
    assert labels(listing) == {"picked": 2}


def test_what_no_row_names_is_counted_by_class(dermnet: Path) -> None:
    listing = mapped(dermnet, ("Eczema Photos", "*-0.png", "x"), ("Acne and Rosacea Photos", "", "y"))
    counted = {finding.picture: finding.detail.split()[1] for finding in listing.refused}
    assert counted == {"Eczema Photos": "2", "Atopic Dermatitis Photos": "4"}


def test_an_empty_label_leaves_out_as_asked(dermnet: Path) -> None:
    listing = mapped(dermnet, ("Eczema Photos", "", ""), ("*", "", "other"))
    assert labels(listing) == {"other": 8}
    assert {finding.kind for finding in listing.refused} == {"by-map"}
    assert len({finding.picture for finding in listing.refused}) == 4


def test_the_pattern_column_may_be_missing(dermnet: Path) -> None:
    listing = mapped(dermnet, ("*", "all"), header=("class", "label"))
    assert labels(listing) == {"all": 12}


def test_given_splits_and_groups_survive_a_map(tmp_path: Path) -> None:
    source = sources.write_csv(tmp_path / "source")
    before = read_source(source, SourceRequest(), pictures=source)
    after = mapped(source, ("*", "", "all"))
    assert [(p.path, p.split, p.group, p.metadata) for p in after.pictures] == [
        (p.path, p.split, p.group, p.metadata) for p in before.pictures
    ]


@pytest.mark.parametrize(
    ("row", "code", "values"),
    [
        (("Exzema", "", "x"), "unknown-label", ("map.csv:2", "'Exzema'", "'Eczema Photos'")),
        (("Eczema Photos", "*foot*", "x"), "map-matches-nothing", ("map.csv:2", "*foot*")),
        (("", "*foot*", "x"), "invalid-table", ("map.csv:2",)),
        (("Eczema Photos", "two\nlines"), "invalid-table", ("map.csv:3", "2 cells", 3)),
    ],
)
def test_a_broken_row_is_an_error_that_names_its_line(
    dermnet: Path, row: tuple[str, ...], code: str, values: tuple[object, ...]
) -> None:
    with raises_code(code, *values) as caught:
        mapped(dermnet, row)
    assert isinstance(caught.value, TableError)


def test_a_map_without_a_label_column_is_an_error(dermnet: Path) -> None:
    with raises_code("missing-column", "map.csv:1", "label", "class, target"):
        mapped(dermnet, ("a", "b"), header=("class", "target"))


def test_a_map_that_leaves_nothing_is_an_error(dermnet: Path) -> None:
    with raises_code("map-matches-nothing", "map.csv"):
        mapped(dermnet, ("*", "", ""))


def named(source: Path, *positive: str, name: str = "", negative_name: str = "") -> Listing:
    request = SourceRequest(positive=positive, name=name, negative_name=negative_name)
    return read_source(source, request, pictures=source)


def test_joined_classes_get_the_given_name(dermnet: Path) -> None:
    listing = named(dermnet, "Eczema Photos", "Atopic Dermatitis Photos", name="eczema")
    assert labels(listing) == {"eczema": 8, "not eczema": 4}


def test_the_other_class_gets_a_name_too(dermnet: Path) -> None:
    assert labels(named(dermnet, "eczema", negative_name="other")) == {"Eczema": 4, "other": 8}


def test_a_name_without_positive_class_is_an_error(dermnet: Path) -> None:
    with raises_code("missing-option", "--name", "--positive"):
        named(dermnet, name="eczema")
    with raises_code("missing-option", "--negative-name", "--positive"):
        named(dermnet, negative_name="other")


@pytest.mark.parametrize("name", ["two\nlines", " ", "eczema ", "x" * 81])
def test_a_name_that_is_no_label_is_an_error(dermnet: Path, name: str) -> None:
    with raises_code("invalid-option", "--name"):
        named(dermnet, "eczema", name=name)


@pytest.mark.parametrize(("name", "negative_name"), [("eczema", "Eczema"), ("", "eczema")])
def test_two_classes_with_one_name_are_an_error(dermnet: Path, name: str, negative_name: str) -> None:
    with raises_code("conflicting-options", "--negative-name", negative_name):
        named(dermnet, "Eczema Photos", name=name, negative_name=negative_name)


def test_the_values_of_a_column_are_labels_and_can_be_mapped(tmp_path: Path) -> None:
    source = sources.write_csv(tmp_path / "source")
    table = sources.write_table(
        tmp_path / "map.csv", (("class", "label"), ("40", "young"), ("41", "young"), ("42", "old"))
    )
    listing = read_source(source, SourceRequest(label_column="age", map_file=table), pictures=source)
    assert labels(listing) == {"young": 2, "old": 1}
    assert listing.columns == ("imported label",)
    assert [picture.metadata for picture in listing.pictures] == [("no",), ("yes",), ("no",)]


def test_pictures_without_a_value_of_the_column_are_left_out_and_counted(tmp_path: Path) -> None:
    source = sources.write_ham10000(tmp_path / "ham")
    listing = read_source(source, SourceRequest(label_column="sex"), pictures=source)
    assert labels(listing) == {"male": 1}
    assert listing.refused[-1].picture == "(no value)"
    with raises_code("unknown-column", "--label place"):
        read_source(source, SourceRequest(label_column="place"), pictures=source)
