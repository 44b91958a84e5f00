"""A recipe is declared once: command line, TOML, help and documentation are derived from its fields."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

from dermpack.cli import main
from tests.support.errors import raises_code
from tests.support.paths import REPOSITORY
from trainer.recipe.augmentation import AUGMENTATIONS, MAX_VALUES, Augmentation
from trainer.recipe.network_spec import Arch, Weights
from trainer.recipe.recipe import (
    Balance,
    Precision,
    Recipe,
    describe_options,
    included_recipes,
    parse_recipe,
    read_recipe,
)


def read(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path)


NAMES = [field.name for field in fields(Recipe)]


def test_every_field_of_a_recipe_is_an_option_of_the_command() -> None:
    from dermpack.cli.train import command

    options = [option.name for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in describe_options()] == NAMES
    assert [name for name in options if name in NAMES] == NAMES


def test_help_shows_every_option_once_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for option in describe_options():
        line = f" --{option.name.replace('_', '-')} {option.metavar} {option.help}"
        assert shown.count(line) == 1
        if option.default_text:
            assert f"{line} [default: {option.default_text}]" in shown


def test_help_loads_neither_numpy_nor_tensorflow() -> None:
    program = (
        "import sys; from dermpack.cli import main; main(['train', '--help']); "
        "sys.exit(bool({'numpy', 'tensorflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_every_help_text_is_a_sentence() -> None:
    for option in describe_options():
        assert option.help[0].isupper() and option.help.endswith("."), option.name


def test_a_shell_completes_the_words_of_an_option() -> None:
    from click.shell_completion import ShellComplete

    from dermpack.cli import program

    shell = ShellComplete(program, {}, "dermpack", "_DERMPACK_COMPLETE")
    found = shell.get_completions(["train", "--arch"], "efficientnet_b")
    assert [item.value for item in found] == [f"efficientnet_b{number}" for number in range(5)]


def test_defaults_are_values_that_a_recipe_takes() -> None:
    texts = {option.name: option.default_text for option in describe_options()}
    assert {name for name, text in texts.items() if not text} == {
        "dense",
        "metadata",
        "allow_leak",
        "label",
        "sensitivity",
    }
    typed = {name: text for name, text in texts.items() if text}
    del typed["threads"], typed["time_limit"]  # "all" and "none" stand for 0
    assert parse_recipe(typed, where="command line") == Recipe()


def test_the_page_lists_every_option_with_its_values_and_default() -> None:
    page = REPOSITORY / "docs/options.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    for option in describe_options():
        default = f"`{option.default_text}`" if option.default_text else ""
        assert f"| `{option.name}` | {option.values} | {default} | {option.help} |" in lines


def test_a_file_and_the_command_line_decode_alike(tmp_path: Path) -> None:
    text = 'fine_tune = 55\ndense = [128, 64]\nrate = 1e-4\nsensitivity = { mel = 0.95 }\naugment = "light"'
    typed = {"fine_tune": "55", "dense": "128,64", "rate": "1e-4", "augment": "light"}
    typed_recipe = parse_recipe({**typed, "sensitivity": ("mel=0.95",)}, where="command line")
    assert read(tmp_path, text) == typed_recipe


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    base = read(tmp_path, "epochs = 3\nbatch = 16")
    recipe = parse_recipe({"epochs": "5"}, where="command line", base=base)
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
        ('weights = "nowhere.h5"', "invalid-option", ("weights = ", "nowhere.h5", "imagenet, bundled, none")),
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
    names = {f"| `{field.name}`" for field in fields(Augmentation)}
    documented = {row[0]: row[1:] for row in rows if row[0] in names}
    for field in fields(Augmentation):
        span = f"0 to {MAX_VALUES[field.name]:g}" if field.name in MAX_VALUES else "true or false"
        values = [getattr(AUGMENTATIONS[name], field.name) for name in ("none", "light", "strong")]
        shown = [f"{value}".lower() if isinstance(value, bool) else f"{value:g}" for value in values]
        assert documented.pop(f"| `{field.name}`") == [span, *shown]
    assert documented == {}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("flips = 1", ("flips = 1", "true or false", "docs/training.md")),
        ('shift = "0.1"', ("shift = '0.1'", "0 to 0.5")),
        ("mixup = true", ("mixup = True", "0 to 8")),
        ("zoom_in = 1.5", ("zoom_in = 1.5", "0.9")),
    ],
)
def test_the_error_for_a_wrong_value_of_augmentation_names_the_allowed_ones(
    tmp_path: Path, line: str, values: tuple[str, ...]
) -> None:
    path = tmp_path / "a.toml"
    path.write_text(line, encoding="utf-8")
    with raises_code("invalid-option", *values):
        parse_recipe({"augment": str(path)}, where="command line")


def test_exact_augmentation_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("flips = true\nrotation_degrees = 18", encoding="utf-8")
    recipe = parse_recipe({"augment": str(path)}, where="command line")
    assert recipe.augment == Augmentation(flips=True, rotation_degrees=18)


def test_the_record_has_no_path_and_nothing_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"x")
    record = parse_recipe({"weights": str(tmp_path / "w.h5"), "threads": "2"}, where="command line").record()
    assert str(tmp_path) not in str(record)
    assert "threads" not in record
    assert "time_limit" not in record


def test_words_become_what_they_name() -> None:
    values = {"arch": "resnet50", "balance": "effective", "mixed_precision": "bfloat16", "fine_tune": "all"}
    recipe = parse_recipe(values, where="command line")
    found: tuple[Any, ...] = (recipe.arch, recipe.balance, recipe.mixed_precision, recipe.fine_tune)
    assert found == (Arch.RESNET50, Balance.EFFECTIVE, Precision.BFLOAT16, None)


def test_a_plain_network_starts_from_nothing() -> None:
    assert parse_recipe({"arch": "scratch_cnn"}, where="command line").weights is Weights.NONE


@pytest.mark.parametrize("option", ["alpha", "bundled", "file"])
def test_options_of_mobilenet_v2_select_it_where_no_architecture_is_chosen(
    option: str, tmp_path: Path
) -> None:
    file = tmp_path / "weights.h5"
    file.write_bytes(b"x")
    options: dict[str, dict[str, Any]] = {
        "alpha": {"alpha": 0.5},
        "bundled": {"weights": "bundled"},
        "file": {"weights": str(file)},
    }
    given = options[option]

    def parse(values: dict[str, Any], base: Recipe | None = None) -> Arch:
        return parse_recipe(values, where="command line", base=base).arch

    assert parse({}) is Arch.EFFICIENTNET_LITE0
    assert parse(given) is Arch.MOBILENET_V2
    assert parse({**given, "arch": "resnet50"}) is Arch.RESNET50
    assert parse(given, Recipe(arch=Arch.EFFICIENTNET_B0)) is Arch.EFFICIENTNET_B0


def test_a_run_as_weights_does_not_select_an_architecture(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{}", encoding="utf-8")
    recipe = parse_recipe({"weights": str(tmp_path)}, where="command line")
    assert recipe.arch is Arch.EFFICIENTNET_LITE0


def test_bundled_weights_choose_their_width_unless_one_is_given() -> None:
    assert parse_recipe({"weights": "bundled"}, where="command line").alpha == 0.35
    assert parse_recipe({"weights": "bundled", "alpha": 1.0}, where="command line").alpha == 1.0


@pytest.mark.parametrize("name", included_recipes())
def test_every_included_recipe_is_read(name: str) -> None:
    assert read_recipe(included_recipes()[name]).arch is not Arch.METADATA  # it learns from pictures


def test_the_plain_recipe_is_as_the_studies_have_it() -> None:
    plain = read_recipe(included_recipes()["plain"])
    assert (plain.head_epochs, plain.epochs, plain.fine_tune, plain.rate) == (4, 8, 55, 1e-4)
    assert (plain.balance, plain.balance_power) == (Balance.WEIGHTS, 0.5)
    assert plain.augment != AUGMENTATIONS["none"]
