"""Write the int8 error of each layer: a table for programs, a plot for people."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from converter.quantize.layer_errors import ROUNDING_ERROR, LayerError
from dermpack.reporting.plots import INK, PALETTE, SOFT, Axes, figure_png, plot, shorten
from dermpack.storage.files import format_csv, write_bytes, write_text

TABLE_FILE, PLOT_FILE = "layers.csv", "layers.png"
HEADER = ("number", "layer", "operator", "error", "scale", "in_float", "tensor")
DIGITS = 6
ROW_INCHES, EDGE_INCHES, WIDTH_INCHES = 0.135, 1.1, 7.2
FONT, MARK = 6.5, 22
MAX_ROWS = 150  # of the plot; a network with more layers shows its worst ones
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000, 10_000)
LEAST, MOST = 0.1, 1.0  # the least extent of the axis; smaller errors are drawn at its left end


def write_layers(folder: Path, errors: Sequence[LayerError], *, float_layers: Collection[str]) -> None:
    """Write layers.csv and layers.png; `float_layers` are the tensors that stay in floating point."""
    write_text(folder / TABLE_FILE, layers_table(errors, float_layers=float_layers))
    write_bytes(folder / PLOT_FILE, layers_png(errors, float_layers=float_layers))


def layers_table(errors: Sequence[LayerError], *, float_layers: Collection[str]) -> str:
    """Return CSV with a row for each layer, from the input to the output."""
    rows: list[tuple[object, ...]] = [HEADER]
    for number, layer in enumerate(errors, start=1):
        figures = (f"{value:.{DIGITS}g}" for value in (layer.error, layer.scale))
        is_float = int(layer.layer in float_layers)
        rows.append((number, layer.name, layer.operator, *figures, is_float, layer.layer))
    return format_csv(rows)


def layers_png(errors: Sequence[LayerError], *, float_layers: Collection[str]) -> bytes:
    """Return a plot with a row for each layer: a line from the error of rounding to the layer's error."""
    layers = worst_rows(errors)
    height = EDGE_INCHES + ROW_INCHES * max(len(layers), 4)
    draw = _layer_plot(layers, float_layers, total=len(errors))
    return figure_png(draw, width_inches=WIDTH_INCHES, height_inches=height)


def worst_rows(errors: Sequence[LayerError]) -> list[LayerError]:
    """Return the layers with the greatest errors, at most MAX_ROWS, in the order of the network."""
    ranked = sorted(range(len(errors)), key=lambda index: -errors[index].error)
    return [errors[index] for index in sorted(ranked[:MAX_ROWS])]


@plot
def _layer_plot(
    axes: Axes, layers: Sequence[LayerError], float_layers: Collection[str], *, total: int
) -> None:
    clipped = [max(layer.error, LEAST) for layer in layers]
    axes.set_xscale("log")
    label = f"rounding alone: {ROUNDING_ERROR:.3f}"
    axes.axvline(ROUNDING_ERROR, color=INK, linewidth=0.9, linestyle="--", label=label)
    for number, operator in enumerate(dict.fromkeys(layer.operator for layer in layers)):
        colour = PALETTE[number % len(PALETTE)]
        rows = [row for row, layer in enumerate(layers) if layer.operator == operator]
        axes.hlines(rows, ROUNDING_ERROR, [clipped[row] for row in rows], color=colour, linewidth=1.1)
        # A disc for an int8 layer, a ring for one that stays in floating point.
        for is_float, fill, where in ((False, colour, ""), (True, "#ffffff", ", in floating point")):
            marked = [row for row in rows if (layers[row].layer in float_layers) is is_float]
            if marked:
                style = {"s": MARK, "color": fill, "edgecolors": colour, "linewidths": 1.3, "zorder": 3}
                name = f"{shorten(operator)}{where}"
                axes.scatter([clipped[row] for row in marked], marked, label=name, **style)
    greatest = max([MOST, *clipped])
    ticks = [tick for tick in TICKS if tick < 2 * greatest]
    axes.set_xlim(LEAST * 0.9, greatest * 1.25)
    axes.set_xticks(ticks, [f"≤ {tick:g}" if tick == LEAST else f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(layers)), [shorten(layer.name) for layer in layers], fontsize=FONT)
    axes.set_ylim(len(layers) - 0.3, -0.7)
    worst = f"; the worst {len(layers)} of {total} layers" if len(layers) < total else ""
    axes.set_xlabel(f"int8 error with measured ranges, in steps of the layer's output (RMSE / scale){worst}")
    axes.grid(axis="x")
    axes.tick_params(axis="y", labelcolor=SOFT)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.1, 1), ncols=3, borderaxespad=0.3, fontsize=FONT)
