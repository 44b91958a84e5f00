"""Where a search looks: files that are understood, and what a recipe makes meaningless."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dermpack.storage.toml_text import format_toml
from tests.support.errors import raises_code
from trainer.experiments.search.space import Choices, Range, Space, apply_sample, read_space
from trainer.recipe.network_spec import Arch
from trainer.recipe.recipe import Recipe, parse_recipe, read_recipe, recipe_to_options


class First:
    """Draws the first choice, and the low end of a range; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.asked[name] = list(choices)
        return choices[0]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self.asked[name] = (low, high, step, log)
        return low

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self.asked[name] = (low, high, step, log)
        return low


def read(folder: Path, text: str, base: Recipe | None = None) -> Space:
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return read_space(path, base=base or Recipe())


def test_lists_are_choices_and_tables_are_ranges(tmp_path: Path) -> None:
    text = "batch = [16, 32]\nrate = { low = 1e-5, high = 1e-3, log = true }\nepochs = { low = 2, high = 8 }"
    assert read(tmp_path, text).dimensions == (
        Choices(name="batch", values=(16, 32)),
        Range(name="epochs", low=2, high=8),
        Range(name="rate", low=1e-5, high=1e-3, log=True),
    )


def test_what_is_drawn_makes_a_recipe_of_the_base(tmp_path: Path) -> None:
    space = read(tmp_path, 'dense = [[64, 8], []]\nfine_tune = ["all", 0]\ndropout = { low = 0, high = 0.5 }')
    asked = First()
    recipe = apply_sample(space.sample(asked), Recipe(batch=7))
    assert (recipe.dense, recipe.fine_tune, recipe.dropout, recipe.batch) == ((64, 8), None, 0.0, 7)
    assert asked.asked["dropout"] == (0.0, 0.5, None, False)


@pytest.mark.parametrize(
    ("text", "code", "values"),
    [
        ("epoch = [1, 2]", "invalid-space", ("'epoch'",)),
        ("seed = [1, 2]", "invalid-space", ("'seed'",)),
        ("batch = [16]", "invalid-space", ("batch",)),
        ("batch = 16", "invalid-space", ("batch",)),
        ("batch = [16, 0]", "invalid-option", ("batch = 0",)),
        ('augment = ["strong", "wild"]', "invalid-option", ("augment = 'wild'", "none, light, strong")),
        ("dense = [[8.5], [8]]", "invalid-space", ("dense", "[8.5]")),
        ("rate = { low = 1e-3, high = 1e-5 }", "invalid-space", ("rate",)),
        ("rate = { low = 0, high = 1, log = true }", "invalid-space", ("rate",)),
        ("rate = { low = 1e-5, high = 1e-3, steps = 3 }", "invalid-space", ("rate",)),
        ("rate = { low = 1e-5, high = 1e-3, log = true, step = 1e-5 }", "invalid-space", ("rate",)),
        ("dropout = { low = 0.0, high = 1.0 }", "invalid-option", ("dropout = 1.0", "0.999999")),
        ("", "invalid-space", ()),
    ],
)
def test_a_wrong_space_is_refused_with_its_hint(
    tmp_path: Path, text: str, code: str, values: tuple[str, ...]
) -> None:
    with raises_code(code, "space.toml", *values):
        read(tmp_path, text)


def names(space: Space) -> set[str]:
    return {of.name for of in space.dimensions}


def test_the_shipped_space_holds_what_the_recipe_can_vary(tmp_path: Path) -> None:
    wanted = {"rate", "batch", "dropout", "dense", "fine_tune", "augment", "balance", "alpha", "size"}
    assert wanted <= names(read_space(None, base=Recipe(arch=Arch.MOBILENET_V2)))
    assert read_space(None, base=Recipe()).left_out == ("alpha",)
    (tmp_path / "w.h5").write_bytes(b"x")
    of_file = read_space(None, base=parse_recipe({"weights": str(tmp_path / "w.h5")}, where="test"))
    assert of_file.left_out == ("alpha",)
    plain = read_space(None, base=parse_recipe({"arch": "scratch_cnn", "size": 28}, where="test"))
    assert plain.left_out == ("alpha", "fine_tune", "head_rate", "size")


def test_every_corner_of_the_shipped_space_is_a_recipe() -> None:
    base = Recipe(arch=Arch.MOBILENET_V2)
    space = read_space(None, base=base)
    for of in space.dimensions:
        for value in of.ends():
            apply_sample({of.name: value}, base).spec(classes=7)


def test_a_recipe_written_as_toml_reads_back_as_it_was(tmp_path: Path) -> None:
    options = {"dense": "8,4", "rate": "1e-7", "fine_tune": "3", "sensitivity": ('a "b"\\c = é=0.9',)}
    for recipe in (Recipe(), parse_recipe(options, where="test")):
        path = tmp_path / "recipe.toml"
        path.write_text(format_toml(recipe_to_options(recipe), comment="one\ntwo"), encoding="utf-8")
        assert read_recipe(path) == recipe
