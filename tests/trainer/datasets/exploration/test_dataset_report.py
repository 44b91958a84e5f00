from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dermpack.progress import silent
from tests.support.training_dataset import of_pictures, picture, write
from trainer.datasets.exploration.dataset_report import (
    choose_pictures,
    create_class_sheets,
    limit_pictures,
)

MANY = [replace(picture(index, "nv"), group=f"g{index // 10}") for index in range(100)]


def test_other_groups_are_shown_before_the_same_one_again() -> None:
    assert len({chosen.group for chosen in choose_pictures(MANY, most=10, seed=0)}) == 10


def test_the_seed_chooses_the_pictures() -> None:
    assert choose_pictures(MANY, most=5, seed=0) == choose_pictures(MANY[::-1], most=5, seed=0)
    assert choose_pictures(MANY, most=5, seed=0) != choose_pictures(MANY, most=5, seed=1)


def test_few_pictures_are_all_shown() -> None:
    assert len(choose_pictures(MANY[:3], most=24, seed=0)) == 3


def test_a_class_without_pictures_has_no_sheet(tmp_path: Path) -> None:
    small = replace(of_pictures(tmp_path, MANY[:2]), classes=("mel", "nv"))
    lineups = create_class_sheets(write(small), pictures=24, seed=0, track=silent)
    assert [lineup.caption for lineup in lineups] == ["nv: 2 of 2 pictures"]


def test_very_many_classes_show_fewer_pictures_each() -> None:
    assert limit_pictures(24, classes=7) == 24
    assert limit_pictures(24, classes=100) == 12
    assert limit_pictures(24, classes=10_000) == 4
    assert limit_pictures(0, classes=7) == 0
