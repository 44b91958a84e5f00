"""Columns of several annotators are found, counted and compared; agreement is corrected for chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dermpack.dataset.manifest import Dataset
from dermpack.reporting.page import Callout, Level, Table
from tests.support.training_dataset import dataset, of_pictures
from trainer.datasets.exploration.annotators import (
    AnnotatedQuestion,
    count_skin_types,
    create_annotator_sections,
    describe_annotators,
)
from trainer.datasets.exploration.columns import read_columns


def annotated(folder: Path, columns: Mapping[str, Sequence[str]]) -> Dataset:
    rows = len(next(iter(columns.values())))
    return dataset(folder, (["mel", "nv"] * rows)[:rows], columns)


def questions_of(data: Dataset) -> tuple[AnnotatedQuestion, ...]:
    return describe_annotators(data, read_columns(data.manifest))


def test_two_annotators_of_the_skin_type_are_compared(tmp_path: Path) -> None:
    data = annotated(
        tmp_path,
        {
            "fitzpatrick_scale": ["1", "2", "3", "6", "", "4"],
            "age": ["40", "50", "60", "70", "80", "90"],
            "fitzpatrick_centaur": ["1", "3", "3", "4", "2", ""],
        },
    )
    (question,) = questions_of(data)
    assert question.annotators == ("fitzpatrick_scale", "fitzpatrick_centaur")
    assert question.counts == ((1, 1, 1, 1, 0, 1), (1, 1, 2, 1, 0, 0))
    assert question.missing == (1, 1)
    (agreement,) = question.agreements
    assert (agreement.n, agreement.same, agreement.within_one) == (4, 0.5, 0.75)
    # The squared differences of the pairs add up to 5; those of all 16 combinations to 76: 19 for four pairs.
    assert agreement.kappa == pytest.approx(1 - 5 / 19)


@pytest.mark.parametrize(
    ("first", "second", "kappa"),
    [
        (["1", "6", "1", "6"], ["1", "6", "1", "6"], 1.0),
        (["1", "6", "1", "6"], ["6", "1", "6", "1"], -1.0),
        (["1", "1", "6", "6"], ["1", "6", "1", "6"], 0.0),
        (["2", "2"], ["2", "2"], None),
    ],
)
def test_kappa_is_corrected_for_chance(
    tmp_path: Path, first: list[str], second: list[str], kappa: float | None
) -> None:
    (question,) = questions_of(annotated(tmp_path, {"skin_type": first, "fst": second}))
    found = question.agreements[0].kappa
    assert found == (None if kappa is None else pytest.approx(kappa))


def test_the_pictures_of_a_case_count_once(tmp_path: Path) -> None:
    data = annotated(tmp_path, {"skin_type_a": ["1", "1", "1", "4"], "skin_type_b": ["1", "1", "1", "2"]})
    pictures = [
        replace(each, group="case" if index < 3 else "other") for index, each in enumerate(data.pictures)
    ]
    (question,) = questions_of(of_pictures(tmp_path, pictures, columns=data.manifest.columns))
    assert (question.agreements[0].n, question.agreements[0].same) == (2, 0.5)


def test_questions_to_numbered_annotators_and_pools_are_found(tmp_path: Path) -> None:
    data = annotated(
        tmp_path,
        {
            "dermatologist_gradable_1": ["YES", "NO"],
            "dermatologist_gradable_2": ["YES", "YES"],
            "rater1": ["a", "b"],
            "rater2": ["b", "a"],
            "monk_skin_tone_label_india": ["3", "9"],
            "monk_skin_tone_label_us": ["2.0", "8.0"],
            "gradable_for_monk_skin_tone_us": ["True", ""],
            "monk_skin_tone_label_brazil": ["", ""],
            "diameter_1": ["5", "6"],
            "diameter_2": ["4", "4"],
            "reader_1": ["a", "b"],
        },
    )
    found = {question.question: question for question in questions_of(data)}
    assert set(found) == {"Monk skin tone", "dermatologist_gradable", "rater"}
    assert found["Monk skin tone"].agreements[0].within_one == 1.0
    assert (found["rater"].agreements[0].within_one, found["rater"].agreements[0].same) == (None, 0.0)


def test_free_text_is_no_answer_to_count(tmp_path: Path) -> None:
    texts = [f"text {index}" for index in range(30)]
    assert questions_of(annotated(tmp_path, {"rater_1": texts, "rater_2": texts})) == ()


def test_missing_dark_skin_is_a_warning_and_rare_one_a_note(tmp_path: Path) -> None:
    for cells, level in ((["1"] * 20, Level.WARNING), (["1"] * 19 + ["5"], Level.NOTE), (["1", "5"], None)):
        data = annotated(tmp_path, {"skin_type": cells})
        columns = read_columns(data.manifest)
        (section,) = create_annotator_sections(
            describe_annotators(data, columns), count_skin_types(data, columns), data.classes
        )
        levels = [block.level for block in section.blocks if isinstance(block, Callout)]
        assert levels == ([level] if level else [])
        assert [block for block in section.blocks if isinstance(block, Table)]


def test_classes_are_counted_within_the_groups_of_skin_types(tmp_path: Path) -> None:
    data = annotated(tmp_path, {"skin_type": ["1", "6", "", "5"], "fst": ["", "", "", "3"]})
    counted = count_skin_types(data, read_columns(data.manifest))
    assert counted is not None
    assert (counted.annotator, counted.groups) == ("skin_type", ("I–II", "V–VI", "(missing)"))
    assert counted.counts == ((1, 0, 1), (0, 2, 0))


def test_without_annotators_there_is_no_section(tmp_path: Path) -> None:
    data = annotated(tmp_path, {"age": ["40", "50"]})
    columns = read_columns(data.manifest)
    assert create_annotator_sections(questions_of(data), count_skin_types(data, columns), data.classes) == []
