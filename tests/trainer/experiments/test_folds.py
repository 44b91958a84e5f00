"""Folds part no group and no cluster, hold out every picture once, and score what they did not see."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermpack.cli import main
from dermpack.dataset.manifest import Dataset, Picture, Split, read_dataset
from dermpack.errors import InputError, OutputError
from dermpack.metrics.predictions import Predictions
from tests.support import training_dataset as small_dataset
from tests.support.errors import raises_code
from trainer.datasets.splits.split import cluster_of, find_leaks, group_of
from trainer.experiments.folds import (
    Fold,
    assign_folds,
    fold_datasets,
    join_predictions,
    mean_over_folds,
    out_of_fold_table,
    split_members,
    summarize_folds,
    train_folds,
)
from trainer.recipe.recipe import parse_recipe

TINY = ("--arch", "scratch_cnn", "--size", "28", "--filters", "4", "--batch", "8", "--epochs", "1", "--quiet")
RECIPE = parse_recipe({"arch": "scratch_cnn", "size": 28, "filters": [4], "epochs": 1}, where="test")


@st.composite
def pictures(draw: st.DrawFn) -> list[Picture]:
    """Groups of one to four; now and then a cluster across groups, or a picture without a group."""
    groups = draw(st.lists(st.integers(1, 4), min_size=2, max_size=40))
    found: list[Picture] = []
    for group, size in enumerate(groups):
        label, split = draw(st.sampled_from("abc")), draw(st.sampled_from(list(Split)))
        for _ in range(size):
            named = "" if draw(st.integers(0, 9)) == 0 else f"g{group}"
            cluster = f"c{draw(st.integers(0, 5))}" if draw(st.integers(0, 9)) == 0 else ""
            one = small_dataset.picture(len(found), label)
            found.append(replace(one, split=split, group=named, cluster=cluster))
    return found


@given(pictures(), st.integers(2, 7), st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_folds_never_part_a_group_or_a_cluster(found: list[Picture], folds: int, seed: int) -> None:
    parts = fold_datasets(dataset_of(found), folds=folds, seed=seed, folder=Path("/folds"))
    for part in parts:
        assert not find_leaks(part.pictures, group_of, cluster_of)


@given(pictures(), st.integers(2, 7), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_every_picture_but_those_of_the_test_split_is_held_out_once(
    found: list[Picture], folds: int, seed: int
) -> None:
    parts = fold_datasets(dataset_of(found), folds=folds, seed=seed, folder=Path("/folds"))
    held_out = Counter(picture.path for part in parts for picture in part.manifest.of(Split.TEST))
    assert held_out == Counter(picture.path for picture in found if picture.split is not Split.TEST)


def dataset_of(found: Sequence[Picture]) -> Dataset:
    return small_dataset.of_pictures(Path("/set"), found)


def test_every_label_is_parted_evenly() -> None:
    labels = ["rare"] * 15 + ["common"] * 150
    found = [replace(small_dataset.picture(at, label), split=Split.TRAIN) for at, label in enumerate(labels)]
    numbers = assign_folds(split_members(found), folds=5, seed=0)
    counts = Counter(zip(labels, numbers, strict=True))
    assert [counts["rare", fold] for fold in range(5)] == [3] * 5
    assert [counts["common", fold] for fold in range(5)] == [30] * 5


@pytest.mark.parametrize("seed", range(4))
def test_a_label_of_as_many_groups_as_folds_is_held_out_in_each(seed: int) -> None:
    labels = ["rare"] * 5 + ["common"] * 60
    found = [replace(small_dataset.picture(at, label), split=Split.TRAIN) for at, label in enumerate(labels)]
    assert sorted(assign_folds(split_members(found), folds=5, seed=seed)[:5]) == [0, 1, 2, 3, 4]


def test_as_large_a_share_validates_as_in_the_dataset() -> None:
    found = [small_dataset.picture(at, "ab"[at // 4 % 2]) for at in range(240)]  # 120 train, 60 validate
    for part in fold_datasets(dataset_of(found), folds=4, seed=0, folder=Path("/folds")):
        counts = [len(part.manifest.of(split)) for split in Split]
        assert counts == pytest.approx([90, 45, 45], abs=1)


def test_another_seed_makes_other_folds_and_the_same_seed_the_same() -> None:
    found = split_members([small_dataset.picture(at, "ab"[at % 2]) for at in range(60)])
    assert (
        assign_folds(found, folds=3, seed=1)
        == assign_folds(found, folds=3, seed=1)
        != assign_folds(found, folds=3, seed=2)
    )


def test_an_interval_over_folds_is_students() -> None:
    """Five values: mean 0.666, deviation 0.0445; 2.776 is the 97.5 % point of four degrees of freedom."""
    of = mean_over_folds([0.61, 0.72, 0.66, 0.70, 0.64])
    assert of is not None and of.ci95 is not None
    assert [of.mean, of.standard_deviation, *of.ci95] == pytest.approx(
        [0.666, 0.04450, 0.61075, 0.72125], abs=1e-4
    )


def test_a_figure_that_a_fold_lacks_is_the_mean_of_the_others() -> None:
    of = mean_over_folds([0.5, float("nan"), 0.7])
    assert of is not None and of.folds == 2 and of.mean == pytest.approx(0.6)
    assert mean_over_folds([float("nan")] * 3) is None
    alone = mean_over_folds([0.5, float("nan")])
    assert alone is not None and alone.ci95 is None


def test_an_interval_over_folds_stays_within_what_a_figure_can_be() -> None:
    of = mean_over_folds([0.9, 1.0])
    assert of is not None and of.ci95 is not None
    assert list(of.ci95) == pytest.approx([0.3147, 1.0], abs=1e-3)


def fold(number: int, names: Sequence[str], truth: Sequence[int], sure: float) -> Fold:
    right = np.eye(2)[list(truth)]
    predictions = Predictions(
        classes=("a", "b"),
        pictures=tuple(names),
        groups=tuple(names),
        truth=np.array(truth),
        probabilities=sure * right + (1 - sure) * (1 - right),
    )
    counts = {"train": 4, "validation": 2, "held_out": len(names)}
    return Fold(
        number=number,
        run=f"fold-{number}",
        weights_sha256="0",
        counts=counts,
        training_seconds=1.0,
        predictions=predictions,
    )


def test_out_of_fold_predictions_are_pooled_in_the_order_of_the_paths() -> None:
    folds = [fold(1, ["b.png", "d.png"], [0, 1], 0.9), fold(2, ["a.png", "c.png"], [1, 0], 0.2)]
    pooled = join_predictions(folds)
    assert pooled.pictures == ("a.png", "b.png", "c.png", "d.png")
    assert pooled.correct.tolist() == [False, True, False, True]
    done = summarize_folds(folds, dataset={}, recipe={}, seed=0)
    assert done.out_of_fold.value("accuracy") == 0.5
    assert done.over_folds["accuracy"].mean == 0.5
    rows = list(csv.DictReader(out_of_fold_table(folds).splitlines()))
    assert [(row["picture"], row["fold"], row["truth"]) for row in rows] == [
        *(("a.png", "2", "b"), ("b.png", "1", "a"), ("c.png", "2", "a"), ("d.png", "1", "b"))
    ]


def test_too_many_folds_for_a_rare_label_are_refused_before_any_training(
    coloured: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(coloured)
    blue = [picture for picture in dataset.pictures if picture.label == "blue"]
    joined = {
        picture.path: replace(picture, group="one") for picture in blue if picture.split is not Split.TEST
    }
    pictures = tuple(joined.get(picture.path, picture) for picture in dataset.pictures)
    one_split = tuple(
        replace(picture, split=Split.TRAIN) if picture.path in joined else picture for picture in pictures
    )
    rare = replace(dataset, manifest=replace(dataset.manifest, pictures=one_split))
    with raises_code("label-without-pictures", "'blue'") as raised:
        train_folds(rare, tmp_path / "folds", RECIPE, folds=3)
    assert isinstance(raised.value, InputError)
    assert re.fullmatch(r"fold-\d", raised.value.where)
    assert not (tmp_path / "folds").exists()


@pytest.fixture(scope="module")
def folds(coloured: Path) -> Path:
    """Two folds, trained by the command."""
    folder = coloured.parent / "folds"
    assert main(["train", str(coloured), "-o", str(folder), "--folds", "2", *TINY]) == 0
    return folder


@pytest.mark.tensorflow
def test_each_fold_is_a_run_of_a_dataset_that_can_be_evaluated(folds: Path, coloured: Path) -> None:
    from trainer.runs.run_folder import read_run

    for name in ("fold-1", "fold-2"):
        part = read_dataset(folds / "datasets" / name)
        assert read_run(folds / name).dataset["manifest_sha256"] == part.sha256
        assert all(part.file(picture).is_file() for picture in part.pictures)
    tests = {picture.path for picture in read_dataset(coloured).manifest.of(Split.TEST)}
    assert tests.isdisjoint(picture.path for picture in part.pictures)


@pytest.mark.tensorflow
def test_the_record_holds_figures_over_pictures_and_over_folds(folds: Path, coloured: Path) -> None:
    record = json.loads((folds / "folds.json").read_text("utf-8"))
    seen = [picture for picture in read_dataset(coloured).pictures if picture.split is not Split.TEST]
    assert (
        record["out_of_fold"]["n"] == len(seen) == sum(of["pictures"]["held_out"] for of in record["folds"])
    )
    means = [of["figures"]["accuracy"] for of in record["folds"]]
    assert record["over_folds"]["accuracy"]["mean"] == pytest.approx(sum(means) / 2)
    rows = list(csv.DictReader((folds / "out-of-fold.csv").read_text("utf-8").splitlines()))
    of_fold = defaultdict(set)
    for row in rows:
        of_fold[row["fold"]].add(row["picture"])
    assert len(rows) == len(seen) and set(of_fold) == {"1", "2"}


@pytest.mark.tensorflow
def test_folds_go_on_where_they_were_stopped(folds: Path, coloured: Path) -> None:
    """As if stopped after the first fold: what is there is kept, byte for byte, and the rest follows."""
    before = {path: path.read_bytes() for path in (folds / "fold-1").iterdir() if path.is_file()}
    record, table = (folds / "folds.json").read_bytes(), (folds / "out-of-fold.csv").read_bytes()
    for name in ("folds.json", "out-of-fold.csv"):
        (folds / name).unlink()
    assert main(["train", str(coloured), "-o", str(folds), "--folds", "2", *TINY]) == 0
    assert {path: path.read_bytes() for path in before} == before
    assert (folds / "folds.json").read_bytes() == record
    assert (folds / "out-of-fold.csv").read_bytes() == table


@pytest.mark.tensorflow
def test_finished_or_other_folds_are_kept(folds: Path, coloured: Path) -> None:
    dataset = read_dataset(coloured)
    recipe = parse_recipe(
        {"arch": "scratch_cnn", "size": 28, "filters": [4], "batch": 8, "epochs": 1}, where="test"
    )
    with raises_code("already-finished", folds, "--overwrite") as raised:
        train_folds(dataset, folds, recipe, folds=2)
    assert isinstance(raised.value, OutputError)
    with raises_code("output-mismatch", folds, "folds: 2, now 3") as raised:
        train_folds(dataset, folds, recipe, folds=3)
    assert isinstance(raised.value, OutputError)
    assert (folds / "fold-1" / "training.json").is_file()
