from __future__ import annotations

import io
import warnings

import pytest
from PIL import Image

from dermpack.reporting.plots import (
    Draw,
    bar_plot,
    figure_png,
    heat_map,
    heat_map_height,
    histogram,
    line_plot,
    plot_height,
    shorten,
    stacked_bar_plot,
)

NAMES = ["nv", "mel"]
PLOTS = {
    "bars": bar_plot(NAMES, [1.0, 20.0], unit="pictures", spreads=[0.5, 1.0]),
    "stacked bars": stacked_bar_plot(NAMES, {"train": [1, 2], "test": [3, 4]}, unit="pictures"),
    "histogram": histogram([0, 10, 20], [3, 4], unit="years", counted="pictures"),
    "heat map": heat_map(NAMES, NAMES, [[0.0, 1.0], [0.5, 0.2]], across="class", down="sex"),
    "lines": line_plot({"nv": ([0, 1], [0, 1]), "mel": ([0, 1], [1, 0])}, across="x", up="y"),
    "empty bars": bar_plot([], [], unit="pictures"),
    "empty heat map": heat_map(["a"], ["b"], [[0.0]], across="class", down="sex"),
}


@pytest.mark.parametrize("draw", [pytest.param(draw, id=name) for name, draw in PLOTS.items()])
def test_a_plot_is_the_same_bytes_twice(draw: Draw) -> None:
    assert figure_png(draw) == figure_png(draw)


@pytest.mark.parametrize(
    "draw", [pytest.param(PLOTS[name], id=name) for name in ("bars", "heat map", "lines")]
)
def test_something_is_drawn(draw: Draw) -> None:
    colours = Image.open(io.BytesIO(figure_png(draw))).convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 10


def test_a_plot_contains_neither_program_nor_date() -> None:
    info = Image.open(io.BytesIO(figure_png(PLOTS["bars"]))).info
    assert set(info) == {"dpi"}


def test_settings_of_the_machine_change_nothing() -> None:
    import matplotlib

    before = figure_png(PLOTS["bars"])
    with matplotlib.rc_context({"font.size": 30.0, "axes.facecolor": "red"}):
        assert figure_png(PLOTS["bars"]) == before


def test_our_settings_stay_ours() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    figure_png(PLOTS["bars"])
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("label", ["$\\frac{", "皮肤科", "a\nb\x00", "x" * 5000, "\ud800"])
def test_a_hostile_label_is_drawn_without_a_word(label: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figure_png(bar_plot([label], [1.0], unit="pictures"))


def test_a_long_label_is_cut() -> None:
    assert shorten("melanoma", most=5) == "mela…"
    assert shorten("nv") == "nv"


def test_more_rows_are_higher() -> None:
    assert plot_height(7) == pytest.approx(2.74)
    assert plot_height(1) < plot_height(20)


def test_long_column_names_make_a_heat_map_higher() -> None:
    rows = ["a", "b", "c"]
    assert heat_map_height(rows, ["nv", "mel"]) == plot_height(3)
    assert heat_map_height(rows, ["Eczema Photos"] * 23) > plot_height(3) + 0.5


def test_column_names_stand_upright_by_the_room_that_they_need() -> None:
    names = ["Muttermal (gutartig)", "Schwarzer Hautkrebs", "ALTERSWARZEN", "nv"]
    narrow, wide = (heat_map_height(["upper extremity (28)"], names, width_inches=at) for at in (6.4, 12.0))
    assert narrow > wide == plot_height(1)


def test_a_plot_too_small_for_its_labels_is_drawn_without_a_word() -> None:
    names = ["x" * 28] * 40
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figure_png(heat_map(["a"], names, [[0.0] * 40], across="", down=""), height_inches=1.0)
