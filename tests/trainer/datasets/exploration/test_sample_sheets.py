from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dermpack.progress import silent
from tests.support.training_dataset import of_pictures, picture, write
from trainer.datasets.exploration.report.write_report import pictures_shown
from trainer.datasets.exploration.sample_sheets import CLUSTER_PICTURES, choose, class_lineups, cluster_lineup

MANY = [replace(picture(at, "nv"), group=f"g{at // 10}") for at in range(100)]


def test_other_groups_are_shown_before_the_same_one_again() -> None:
    assert len({chosen.group for chosen in choose(MANY, most=10, seed=0)}) == 10


def test_the_seed_chooses_the_pictures() -> None:
    assert choose(MANY, most=5, seed=0) == choose(MANY[::-1], most=5, seed=0)
    assert choose(MANY, most=5, seed=0) != choose(MANY, most=5, seed=1)


def test_few_pictures_are_all_shown() -> None:
    assert len(choose(MANY[:3], most=24, seed=0)) == 3


def test_a_class_without_pictures_has_no_sheet(tmp_path: Path) -> None:
    small = replace(of_pictures(tmp_path, MANY[:2]), classes=("mel", "nv"))
    lineups = class_lineups(write(small), pictures=24, seed=0, track=silent)
    assert [(lineup.title, lineup.shown, lineup.of) for lineup in lineups] == [("nv", 2, 2)]


def test_near_duplicates_are_shown_beside_each_other(tmp_path: Path) -> None:
    rows = [replace(picture(at, "nv"), cluster=f"c{at // 2}") for at in range(60)]
    lineup = cluster_lineup(write(of_pictures(tmp_path, rows)))
    assert lineup is not None
    assert (lineup.shown, lineup.of) == (CLUSTER_PICTURES, 60)
    assert cluster_lineup(of_pictures(tmp_path, MANY)) is None


def test_very_many_classes_show_fewer_pictures_each() -> None:
    assert pictures_shown(24, classes=7) == 24
    assert pictures_shown(24, classes=100) == 12
    assert pictures_shown(24, classes=10_000) == 4
    assert pictures_shown(0, classes=7) == 0
