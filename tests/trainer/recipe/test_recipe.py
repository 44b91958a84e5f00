"""Recipes: the file and the command line say the same, and a slip is named."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

from dermpack.cli import main
from tests.support.errors import raises_code
from tests.support.paths import REPOSITORY
from trainer.data.class_balance import Balance
from trainer.recipe.augmentation import LARGEST, NAMED, Augmentation
from trainer.recipe.network_spec import Arch, Weights
from trainer.recipe.option_defaults import default_texts
from trainer.recipe.recipe import DECODERS, Precision, Recipe, read_recipe, recipe_from

STUDIES = REPOSITORY / "trainer" / "studies"


def read(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path)


def test_every_value_of_a_recipe_can_be_given() -> None:
    assert set(DECODERS) == {field.name for field in fields(Recipe)}


def test_every_value_of_a_recipe_is_an_option_of_the_command() -> None:
    from dermpack.cli.train import command

    options = {option.name for option in command.params if isinstance(option, click.Option)}
    assert set(DECODERS) <= options


def test_help_shows_each_default_that_a_recipe_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "--size PX Side of the pictures: 28 to 600, backbones from 96. [default: 160]" in shown
    for name, text in default_texts().items():
        assert f"--{name.replace('_', '-')} " in shown
        assert f"[default: {text}]" in shown


def test_help_shows_every_option_once() -> None:
    from dermpack.cli.help_sections import SECTIONS
    from dermpack.cli.train import command

    named = [name for names in SECTIONS.values() for name in names]
    assert sorted(named) == sorted(DECODERS)
    assert set(named) <= {param.name for param in command.params}


def test_defaults_are_values_that_a_recipe_takes() -> None:
    words = ("threads", "time_limit")  # "all" and "none" say what 0 means
    texts = {name: text for name, text in default_texts().items() if name not in words}
    assert recipe_from(texts, where="command line") == Recipe()


def test_a_file_and_the_command_line_decode_alike(tmp_path: Path) -> None:
    text = 'fine_tune = 55\ndense = [128, 64]\nrate = 1e-4\nsensitivity = { mel = 0.95 }\naugment = "light"'
    typed = {"fine_tune": "55", "dense": "128,64", "rate": "1e-4", "augment": "light"}
    typed_recipe = recipe_from({**typed, "sensitivity": ("mel=0.95",)}, where="command line")
    assert read(tmp_path, text) == typed_recipe


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    base = read(tmp_path, "epochs = 3\nbatch = 16")
    recipe = recipe_from({"epochs": "5"}, where="command line", base=base)
    assert (recipe.epochs, recipe.batch) == (5, 16)


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    with raises_code("invalid-option", "recipe.toml", "'finetune'", "'fine_tune'"):
        read(tmp_path, "finetune = 55")


@pytest.mark.parametrize(
    ("text", "code", "values"),
    [
        ('arch = "vgg"', "invalid-option", ("arch = 'vgg'", "mobilenet_v2")),
        ("epochs = 1.5", "invalid-option", ("epochs = 1.5",)),
        ("epochs = true", "invalid-option", ("epochs = True",)),
        ("epochs = -1", "invalid-option", ("epochs = -1", "0")),
        ('rate = "fast"', "invalid-option", ("rate = 'fast'",)),
        ("dense = [[]]", "invalid-option", ("dense = [[]]",)),
        ("rate = nan", "invalid-option", ("rate = nan",)),
        ("dropout = 1.0", "invalid-option", ("dropout = 1.0", "0.999999")),
        ('weights = "nowhere.h5"', "invalid-option", ("weights = ", "nowhere.h5", "imagenet, none")),
        ('augment = "wild"', "invalid-option", ("augment = 'wild'", "none, light, strong")),
        ("augment = { spin = 3 }", "invalid-option", ("'spin'",)),
        ("sensitivity = { mel = 0 }", "invalid-option", ("sensitivity = ", "mel=0.95")),
        ("epochs = ", "invalid-toml", ("recipe.toml",)),
        (f"rate = 1{'0' * 400}", "invalid-option", ("rate = 1",)),
        (f'weights = "{"w" * 300}"', "invalid-option", ("weights = 'w",)),
        (f'teacher = "{"t" * 300}"', "invalid-option", ("teacher = 't",)),
        (f'augment = "{"a" * 300}"', "invalid-option", ("augment = 'a",)),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, text: str, code: str, values: tuple[str, ...]) -> None:
    with raises_code(code, *values):
        read(tmp_path, text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with raises_code("invalid-toml", path):
        read_recipe(path)


def test_a_weights_file_is_found_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"x")
    assert read(tmp_path, 'weights = "w.h5"').weights == tmp_path / "w.h5"


def test_the_page_lists_every_key_of_augmentation_with_its_values() -> None:
    page = REPOSITORY / "docs/training.md"
    rows = [line.split(" | ")[:5] for line in page.read_text(encoding="utf-8").splitlines()]
    told = {row[0]: row[1:] for row in rows if row[0].startswith("| `")}
    for field in fields(Augmentation):
        span = f"0 to {LARGEST[field.name]:g}" if field.name in LARGEST else "true or false"
        values = [getattr(NAMED[name], field.name) for name in ("none", "light", "strong")]
        shown = [f"{value}".lower() if isinstance(value, bool) else f"{value:g}" for value in values]
        assert told.pop(f"| `{field.name}`") == [span, *shown]
    assert told == {}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("flips = 1", ("flips = 1", "true or false", "docs/training.md")),
        ('shift = "0.1"', ("shift = '0.1'", "0 to 0.5")),
        ("mixup = true", ("mixup = True", "0 to 8")),
        ("zoom_in = 1.5", ("zoom_in = 1.5", "0.9")),
    ],
)
def test_a_wrong_value_of_augmentation_is_told_what_fits(
    tmp_path: Path, line: str, values: tuple[str, ...]
) -> None:
    path = tmp_path / "a.toml"
    path.write_text(line, encoding="utf-8")
    with raises_code("invalid-option", *values):
        recipe_from({"augment": str(path)}, where="command line")


def test_exact_augmentation_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("flips = true\nrotation_degrees = 18", encoding="utf-8")
    recipe = recipe_from({"augment": str(path)}, where="command line")
    assert recipe.augment == Augmentation(flips=True, rotation_degrees=18)


def test_the_record_has_no_path_and_nothing_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"x")
    record = recipe_from({"weights": str(tmp_path / "w.h5"), "threads": "2"}, where="command line").record()
    assert str(tmp_path) not in str(record)
    assert "threads" not in record
    assert "time_limit" not in record


def test_words_become_what_they_name() -> None:
    values = {"arch": "resnet50", "balance": "effective", "mixed_precision": "bfloat16", "fine_tune": "all"}
    recipe = recipe_from(values, where="command line")
    found: tuple[Any, ...] = (recipe.arch, recipe.balance, recipe.mixed_precision, recipe.fine_tune)
    assert found == (Arch.RESNET50, Balance.EFFECTIVE, Precision.BFLOAT16, None)


def test_a_plain_network_starts_from_nothing() -> None:
    assert recipe_from({"arch": "scratch_cnn"}, where="command line").weights is Weights.NONE


def test_the_plain_recipe_is_as_the_studies_have_it() -> None:
    plain = read_recipe(STUDIES / "plain.toml")
    assert (plain.head_epochs, plain.epochs, plain.fine_tune, plain.rate) == (4, 8, 55, 1e-4)
    assert (plain.balance, plain.balance_power) == (Balance.WEIGHTS, 0.5)
    assert plain.augment != NAMED["none"]
