"""Plots as PNG bytes in one style: colours for colour-blind people, the same bytes every time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias, cast

from dermpack.errors import escape_unprintable
from dermpack.reporting.page import Image

Axes: TypeAlias = Any  # matplotlib.axes.Axes: naming it would import matplotlib
Draw: TypeAlias = Callable[[Axes], None]
Arguments = ParamSpec("Arguments")

DOTS_PER_INCH = 144  # sharp on a phone, small in a page
INK, SOFT, LINE = "#1c2330", "#5a6475", "#dfe3ea"
# Paul Tol's "bright" scheme: seven colours that colour-blind people can distinguish.
PALETTE = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
DASHES = ("-", "--", ":", "-.")  # the eighth curve reuses the first colour
HEAT = "Blues"  # one hue, light to dark: readable for everybody, and on paper
STYLE: Mapping[str, object] = {
    "text.parse_math": False,  # a $ in a label is not mathematics
    "font.family": ["DejaVu Sans"],  # part of matplotlib: the same font on every machine
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 10.0,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}
THICKNESS = 0.72  # of a bar
MAX_LABEL = 28  # characters
LETTER_INCHES = 0.075
GAP_LETTERS = 2  # between two horizontal names
LIGHT_TEXT_ABOVE = 0.55  # of a heat map's range


def figure_png(draw: Draw, *, width_inches: float = 6.4, height_inches: float = 3.6) -> bytes:
    """Draw on one pair of axes and return the PNG, without date and program name."""
    with _style():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def plot_image(
    draw: Draw, *, caption: str = "", alt: str = "", width_inches: float = 6.4, height_inches: float = 3.6
) -> Image:
    """Return the plot as an image of a page; screen readers get the caption if there is no `alt`."""
    data = figure_png(draw, width_inches=width_inches, height_inches=height_inches)
    return Image(data=data, alt=alt or caption, caption=caption)


def plot(draw: Callable[Concatenate[Axes, Arguments], None]) -> Callable[Arguments, Draw]:
    """Turn a function that draws on axes into one that takes the other arguments and returns the `Draw`."""

    @wraps(draw)
    def bind(*values: Arguments.args, **options: Arguments.kwargs) -> Draw:
        return lambda axes: draw(axes, *values, **options)

    return bind


def plot_height(rows: int) -> float:
    """Return the inches for a plot with one line of text per row: plot_height(7) → 2.74."""
    return 0.92 + 0.26 * max(rows, 2)


def heat_map_height(rows: Sequence[str], columns: Sequence[str], *, width_inches: float = 6.4) -> float:
    """Return the inches for a heat map, with room for vertical column names."""
    vertical = _longest(columns) if _needs_vertical_names(rows, columns, width_inches) else 0
    return plot_height(len(rows)) + LETTER_INCHES * vertical


def shorten(text: str, *, most: int = MAX_LABEL) -> str:
    """Return a label that fits next to a plot: shorten("melanoma", most=5) → "mela…"."""
    text = escape_unprintable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


@plot
def bar_plot(
    axes: Axes,
    names: Sequence[str],
    values: Sequence[float],
    *,
    unit: str,
    form: str = "{:,.0f}",
    spreads: Sequence[float] | None = None,
) -> None:
    """Draw horizontal bars with their values, the first on top; `spreads` are half-lengths of whiskers."""
    rows = range(len(names))
    whiskers = {"ecolor": INK, "capsize": 2}
    axes.barh(rows, values, color=PALETTE[0], xerr=spreads, height=THICKNESS, error_kw=whiskers)
    for row, (value, spread) in enumerate(zip(values, spreads or [0.0] * len(names), strict=True)):
        _annotate_bar(axes, max(value + spread, 0.0), row, form.format(value))
    _label_rows(axes, names, unit=unit)


@plot
def stacked_bar_plot(
    axes: Axes,
    names: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    *,
    unit: str,
    form: str = "{:,.0f}",
    most: int = MAX_LABEL,
    legend_columns: int = 5,
) -> None:
    """Draw horizontal bars in parts with their sums, the first on top."""
    sums = [0.0] * len(names)
    for number, (part, values) in enumerate(parts.items()):
        colour = PALETTE[number % len(PALETTE)]
        rows = range(len(names))
        axes.barh(rows, values, left=sums, height=THICKNESS, color=colour, label=shorten(part))
        sums = [total + value for total, value in zip(sums, values, strict=True)]
    for row, total in enumerate(sums):
        _annotate_bar(axes, total, row, form.format(total))
    _label_rows(axes, names, unit=unit, most=most)
    place_legend(axes, columns=min(len(parts), legend_columns))


@plot
def histogram(
    axes: Axes, edges: Sequence[float], counts: Sequence[float], *, unit: str, counted: str
) -> None:
    """Draw counts between given edges: the caller computes them, so that its report has the numbers."""
    axes.stairs(counts, edges, fill=True, color=PALETTE[0])
    axes.set(xlabel=unit, ylabel=counted)
    axes.grid(axis="y")


@plot
def heat_map(
    axes: Axes,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    across: str,
    down: str,
    top: float | None = None,
) -> None:
    """Draw a cell per pair of names, dark for large values, with the value in it."""
    highest = top or max((value for row in values for value in row), default=0.0) or 1.0
    axes.imshow(values, cmap=HEAT, vmin=0.0, vmax=highest, aspect="auto")
    centred = {"ha": "center", "va": "center", "fontsize": 7.5}
    for row, cells in enumerate(values):
        for column, value in enumerate(cells):
            colour = "#ffffff" if value > LIGHT_TEXT_ABOVE * highest else INK
            axes.text(column, row, f"{value:.0%}", color=colour, **centred)
    is_vertical = _needs_vertical_names(rows, columns, axes.figure.get_figwidth())
    axes.set_xticks(range(len(columns)), [shorten(name) for name in columns])
    axes.tick_params(axis="x", labelrotation=90.0 if is_vertical else 0.0)
    axes.set_yticks(range(len(rows)), [shorten(name) for name in rows])
    axes.set(xlabel=across, ylabel=down)
    axes.spines[:].set_visible(False)


@plot
def line_plot(
    axes: Axes, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, across: str, up: str
) -> None:
    """Draw one line per name."""
    for number, (name, (xs, ys)) in enumerate(curves.items()):
        # Each reuse of the palette gets another dash, so that no two curves look the same.
        rounds, colour = divmod(number, len(PALETTE))
        dash = DASHES[rounds % len(DASHES)]
        axes.plot(xs, ys, color=PALETTE[colour], linestyle=dash, label=shorten(name), linewidth=1.6)
    axes.set(xlabel=across, ylabel=up)
    axes.grid()
    if len(curves) > 1:
        axes.legend(loc="best", fontsize=8)


def place_legend(axes: Axes, *, columns: int, font_size: float = 8) -> None:
    """Place the legend above the axes, where it covers no data."""
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    axes.legend(**place, ncols=columns, fontsize=font_size)


def _needs_vertical_names(rows: Sequence[str], columns: Sequence[str], width_inches: float) -> bool:
    """Return whether the column names need more width than the row names leave."""
    free = width_inches / LETTER_INCHES - _longest(rows)
    return (_longest(columns) + GAP_LETTERS) * len(columns) > free


def _longest(names: Sequence[str]) -> int:
    return max((len(shorten(name)) for name in names), default=0)


@contextmanager
def _style() -> Iterator[None]:
    """Apply our settings only, whatever matplotlibrc contains."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        warnings.filterwarnings("ignore", message="constrained_layout not applied", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast("Any", STYLE))
        yield


def _annotate_bar(axes: Axes, end: float, row: int, text: str) -> None:
    offset = {"xytext": (4, 0), "textcoords": "offset points"}
    axes.annotate(text, (end, row), **offset, va="center", color=SOFT, fontsize=8)


def _label_rows(axes: Axes, names: Sequence[str], *, unit: str, most: int = MAX_LABEL) -> None:
    axes.set_yticks(range(len(names)), [shorten(name, most=most) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.set_xlabel(unit)
    axes.grid(axis="x")
    axes.spines[["left", "bottom"]].set_visible(False)
