"""A study's file: what is read, what is refused, and that the shipped ones suit the layouts they are for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.dataset.manifest import read_dataset
from tests.support import picture_sources as sources
from tests.support import training_dataset as small_dataset
from tests.support.errors import raises_code
from trainer.experiments.study import check_study, common_label
from trainer.experiments.study_file import SHIPPED, StudyPlan, find_study, read_study
from trainer.recipe.network_spec import Arch, Weights
from trainer.recipe.recipe import Goal, Recipe, parse_recipe, recipe_to_options

TWO = "[recipes.a]\nepochs = 1\n[recipes.b]\nepochs = 2\n"
# The weights of the default network are in a package that only the extra train installs.
MOBILENET = '[common]\narch = "mobilenet_v2"\n'


def read(folder: Path, text: str, *, base: str = "") -> StudyPlan:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return read_study(path, base=base)


def test_recipes_come_in_the_order_of_the_file_and_the_first_is_the_base(tmp_path: Path) -> None:
    plan = read(tmp_path, TWO)
    assert [(entry.name, entry.recipe.epochs) for entry in plan.entries] == [("a", 1), ("b", 2)]
    assert (plan.name, plan.base, plan.metric) == ("study", "a", Goal.BALANCED_ACCURACY)


def test_a_base_that_is_given_wins_over_that_of_the_file(tmp_path: Path) -> None:
    text = f'base = "b"\nmetric = "auroc"\n{TWO}'
    assert (read(tmp_path, text).base, read(tmp_path, text, base="a").base) == ("b", "a")
    assert read(tmp_path, text).metric is Goal.AUROC


def test_a_recipes_own_option_wins_over_the_common_one(tmp_path: Path) -> None:
    plan = read(tmp_path, f"[common]\nepochs = 9\nbatch = 8\n{TWO}[recipes.c]\n")
    assert [(entry.recipe.epochs, entry.recipe.batch) for entry in plan.entries] == [(1, 8), (2, 8), (9, 8)]


def test_weights_that_are_not_there_keep_one_recipe_from_being_trained(tmp_path: Path) -> None:
    (tmp_path / "here.h5").write_bytes(b"x")
    plan = read(tmp_path, '[recipes.a]\nweights = "gone.h5"\n[recipes.b]\nweights = "here.h5"\n')
    assert [entry.lacks for entry in plan.entries] == ["weights file gone.h5 not found", ""]
    assert plan.entries[1].recipe.weights == tmp_path / "here.h5"
    assert {entry.recipe.arch for entry in plan.entries} == {Arch.MOBILENET_V2}  # a Keras file selects it


@pytest.mark.parametrize(
    ("text", "code", "values"),
    [
        ("epochs = 3", "invalid-study", ("'epochs'",)),
        ("[common]\nepochs = 3", "invalid-study", ("[recipes.NAME]",)),
        ("recipes = 3", "invalid-study", ("[recipes.NAME]",)),
        ("[recipes]\na = 3", "invalid-study", ("recipes.a", "[recipes.a]")),
        ('[recipes."../a"]', "invalid-study", ("'../a'",)),
        ('[recipes.".a"]', "invalid-study", ("'.a'",)),
        ("[recipes.a]\nepoch = 3", "invalid-option", ("[recipes.a]", "'epoch'", "'epochs'")),
        ('[recipes.a]\narch = "vgg"', "invalid-option", ("[recipes.a]", "arch = 'vgg'")),
        (f'base = "c"\n{TWO}', "invalid-study", ("'c'", "a, b")),
        (f'metric = "luck"\n{TWO}', "invalid-study", ("metric = 'luck'", "balanced_accuracy, auroc")),
    ],
)
def test_a_wrong_study_is_refused_with_its_hint(
    tmp_path: Path, text: str, code: str, values: tuple[str, ...]
) -> None:
    with raises_code(code, "study.toml", *values):
        read(tmp_path, text)


def test_a_study_is_found_by_path_and_a_shipped_one_by_name(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(TWO, encoding="utf-8")
    assert find_study(str(tmp_path / "own.toml")) == tmp_path / "own.toml"
    assert find_study("eczema").is_file()
    with raises_code("file-not-found", "exzema", "cifar10, eczema"):
        find_study("exzema")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_recipe_of_a_shipped_study_is_a_network_that_can_be_built(name: str) -> None:
    plan = read_study(find_study(name))
    specs = [entry.recipe.spec(classes=7) for entry in plan.entries]
    assert len(specs) >= 2
    assert not any(entry.lacks for entry in plan.entries)


def test_the_shipped_studies_hold_the_recipes_that_were_published() -> None:
    eczema = {entry.name: entry.recipe for entry in read_study(find_study("eczema")).entries}
    assert [recipe.fine_tune for recipe in eczema.values()] == [None, None, 0, 25, 55]
    assert eczema["scratch"].dropout == 0 < eczema["scratch-augmented"].dropout
    lesions = {entry.recipe.arch.value for entry in read_study(find_study("lesions")).entries}
    assert lesions == {"scratch_cnn", "mobilenet_v2", "efficientnet_b0", "resnet50"}


def imported(name: str, folder: Path) -> Path:
    """A generated source in the layout that a shipped study is for, brought in as a person would."""
    source, options = folder / "source", ["--quiet"]
    match name:
        case "hmnist":
            sources.write_hmnist(source, [*range(7)] * 5)
        case "cifar10":
            sources.write_cifar10(source, pictures=40)
        case "lesions":
            sources.write_ham10000(source, sources.DX * 5)
        case _:
            sources.write_split_folders(source, sources.DERMNET, splits=("train", "test"), pictures=8)
            options += ["--positive", "Eczema Photos"]
    assert main(["data", "import", str(source), "-o", str(folder / "dataset"), *options]) == 0
    return folder / "dataset"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_study_suits_the_layout_that_it_is_for(name: str, tmp_path: Path) -> None:
    dataset = read_dataset(imported(name, tmp_path))
    check_study(dataset, read_study(find_study(name)), tmp_path / "study")


def test_a_wrong_network_is_named_with_its_recipe(tmp_path: Path) -> None:
    dataset = small_dataset.write(small_dataset.dataset(tmp_path / "set", ["a", "b"] * 8))
    plan = read(tmp_path, f"{MOBILENET}{TWO}[recipes.c]\nsize = 50\n")
    with raises_code("invalid-option", "[recipes.c] --size 50", "mobilenet_v2"):
        check_study(dataset, plan, tmp_path / "study")


def test_the_recipes_of_a_study_learn_the_same_labels(tmp_path: Path) -> None:
    plan = read(tmp_path, f'{TWO}[recipes.c]\nlabel = "site"\n')
    with raises_code("conflicting-options", "'site'"):
        common_label(plan)
    assert common_label(read(tmp_path, TWO)) == ""


def test_a_dataset_to_test_on_must_have_known_labels_and_a_test_split(tmp_path: Path) -> None:
    dataset = small_dataset.write(small_dataset.dataset(tmp_path / "set", ["a", "b"] * 8))
    other = small_dataset.write(small_dataset.dataset(tmp_path / "other", ["a", "c"] * 8))
    untested = replace(dataset, manifest=replace(dataset.manifest, pictures=dataset.pictures[:3]))
    for also, code, value in ((other, "unknown-label", "'c'"), (untested, "empty-split", dataset.folder)):
        with raises_code(code, value):
            check_study(dataset, read(tmp_path, MOBILENET + TWO), tmp_path / "study", also=[also])


def test_a_recipe_that_is_spelled_out_reads_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"x")
    options = {
        "weights": str(tmp_path / "w.h5"),
        "dense": [8, 4],
        "sensitivity": {"mel": 0.9},
        "fine_tune": 3,
    }
    for recipe in (Recipe(), Recipe(weights=Weights.NONE, rate=3e-4), parse_recipe(options, where="test")):
        assert parse_recipe(recipe_to_options(recipe), where="test") == recipe
