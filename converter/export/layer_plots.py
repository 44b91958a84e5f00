"""Plot what integers do to each layer of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dermpack.reporting.plots import INK, PALETTE, SOFT, Axes, Draw, figure_png, short

ROW_INCHES, EDGE_INCHES, WIDTH_INCHES = 0.135, 1.1, 7.2
FONT, MARK = 6.5, 22
MOST_ROWS = 150  # beyond, the worst: nobody reads a plot of two metres
LEAST, MOST = 0.1, 1.0  # what the axis shows at least; smaller errors stand at its left end


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One operation; its error is in steps of its output."""

    name: str
    operator: str
    error: float
    is_kept: bool  # in floating point


def layers_png(layers: Sequence[Layer], *, healthy: float) -> bytes:
    """Each layer's error beside that of a layer which only rounds, from the pixels down."""
    shown = _worst(layers)
    height = EDGE_INCHES + ROW_INCHES * max(len(shown), 4)
    return figure_png(
        layer_plot(shown, healthy=healthy, of=len(layers)), width_inches=WIDTH_INCHES, height_inches=height
    )


def layer_plot(layers: Sequence[Layer], *, healthy: float, of: int) -> Draw:
    """A mark a layer, on a line that begins at the healthy error; in colours by operator."""

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        errors = [max(layer.error, LEAST) for layer in layers]
        axes.axvline(
            healthy, color=INK, linewidth=0.9, linestyle="--", label=f"rounding alone: {healthy:.3f}"
        )
        for number, operator in enumerate(dict.fromkeys(layer.operator for layer in layers)):
            rows = [row for row, layer in enumerate(layers) if layer.operator == operator]
            colour = PALETTE[number % len(PALETTE)]
            axes.hlines(rows, healthy, [errors[row] for row in rows], color=colour, linewidth=1.1)
            _mark(
                axes, [row for row in rows if not layers[row].is_kept], errors, colour, operator, is_full=True
            )
            _mark(axes, [row for row in rows if layers[row].is_kept], errors, colour, operator, is_full=False)
        _label(axes, layers, max([MOST, *errors]), of=of)

    return draw


def _worst(layers: Sequence[Layer]) -> list[Layer]:
    """Those with the greatest errors, in the order of the network."""
    ranked = sorted(range(len(layers)), key=lambda at: -layers[at].error)
    return [layers[at] for at in sorted(ranked[:MOST_ROWS])]


def _mark(
    axes: Axes, rows: Sequence[int], errors: Sequence[float], colour: str, operator: str, *, is_full: bool
) -> None:
    """A disc, or a ring for what stays in floating point."""
    if rows:
        label = short(operator) if is_full else f"{short(operator)}, in floating point"
        fill = colour if is_full else "#ffffff"
        at = [errors[row] for row in rows]
        axes.scatter(at, rows, s=MARK, color=fill, edgecolors=colour, linewidths=1.3, label=label, zorder=3)


def _label(axes: Axes, layers: Sequence[Layer], greatest: float, *, of: int) -> None:
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000, 10_000) if tick < 2 * greatest]
    axes.set_xlim(LEAST * 0.9, greatest * 1.25)
    axes.set_xticks(ticks, [f"≤ {tick:g}" if tick == LEAST else f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(layers)), [short(layer.name) for layer in layers], fontsize=FONT)
    axes.set_ylim(len(layers) - 0.3, -0.7)
    left_out = f"; the worst {len(layers)} of {of} layers" if len(layers) < of else ""
    axes.set_xlabel(
        f"error by integers with measured ranges, in steps of the layer's output (RMSE / scale){left_out}"
    )
    axes.grid(axis="x")
    axes.tick_params(axis="y", labelcolor=SOFT)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.1, 1), ncols=3, borderaxespad=0.3, fontsize=FONT)
