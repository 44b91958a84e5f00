"""Plots as PNG bytes: one style, colours that colour-blind people tell apart, the same bytes each time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

from dermpack.errors import printable

Axes: TypeAlias = Any  # matplotlib.axes.Axes: to name it would load matplotlib
Draw: TypeAlias = Callable[[Axes], None]

DOTS_PER_INCH = 144  # sharp on a phone, small in a page
INK, SOFT, LINE = "#1c2330", "#5a6475", "#dfe3ea"
# Paul Tol's "bright" scheme: seven colours that colour-blind people tell apart.
PALETTE = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
DASHES = ("-", "--", ":", "-.")  # the eighth curve has the first colour again
HEAT = "Blues"  # one hue, light to dark: read by everybody, and on paper
STYLE: Mapping[str, object] = {
    "text.parse_math": False,  # a label with a $ is a label
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same letters on every machine
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
GAP_LETTERS = 2  # between names that stand side by side
LIGHT_TEXT_ABOVE = 0.55  # of a heat map's range


def figure_png(draw: Draw, *, width_inches: float = 6.4, height_inches: float = 3.6) -> bytes:
    """Draw on one pair of axes; answer a PNG without date and program name."""
    with _style():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def height_for(rows: int) -> float:
    """Inches for a plot with one line of text a row: height_for(7) → 2.74."""
    return 0.92 + 0.26 * max(rows, 2)


def heat_height_for(rows: Sequence[str], columns: Sequence[str], *, width_inches: float = 6.4) -> float:
    """Inches for a heat map, with room for column names that stand upright."""
    upright = _longest(columns) if _stand_upright(rows, columns, width_inches) else 0
    return height_for(len(rows)) + LETTER_INCHES * upright


def short(text: str, *, most: int = MAX_LABEL) -> str:
    """A label that fits beside a plot: short("melanoma", most=5) → "mela…"."""
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def bars(
    names: Sequence[str],
    values: Sequence[float],
    *,
    unit: str,
    form: str = "{:,.0f}",
    spreads: Sequence[float] | None = None,
) -> Draw:
    """Horizontal bars, the first name on top, each with its value; `spreads` are half-lengths of whiskers."""

    def draw(axes: Axes) -> None:
        at = range(len(names))
        axes.barh(
            at,
            values,
            color=PALETTE[0],
            xerr=spreads,
            height=THICKNESS,
            error_kw={"ecolor": INK, "capsize": 2},
        )
        reach = [value + spread for value, spread in zip(values, spreads or [0.0] * len(names), strict=True)]
        for row, (value, end) in enumerate(zip(values, reach, strict=True)):
            _write_beside(axes, max(end, 0.0), row, form.format(value))
        _name_rows(axes, names, unit=unit)

    return draw


def stacked_bars(
    names: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    *,
    unit: str,
    form: str = "{:,.0f}",
    most: int = MAX_LABEL,
) -> Draw:
    """Horizontal bars in parts, the first name on top, each with its sum."""

    def draw(axes: Axes) -> None:
        sums = [0.0] * len(names)
        for colour, (part, values) in enumerate(parts.items()):
            axes.barh(
                range(len(names)),
                values,
                left=sums,
                height=THICKNESS,
                color=PALETTE[colour % len(PALETTE)],
                label=short(part),
            )
            sums = [total + value for total, value in zip(sums, values, strict=True)]
        for row, total in enumerate(sums):
            _write_beside(axes, total, row, form.format(total))
        _name_rows(axes, names, unit=unit, most=most)
        _legend_above(axes, len(parts))

    return draw


def histogram(edges: Sequence[float], counts: Sequence[float], *, unit: str, counted: str) -> Draw:
    """Counts between edges that the caller chose: the numbers stand in the report, the plot shows them."""

    def draw(axes: Axes) -> None:
        axes.stairs(counts, edges, fill=True, color=PALETTE[0])
        axes.set_xlabel(unit)
        axes.set_ylabel(counted)
        axes.grid(axis="y")

    return draw


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    across: str,
    down: str,
    form: str = "{:.0%}",
    top: float | None = None,
) -> Draw:
    """A cell a pair, dark for much; the value is written in each cell where there is room."""

    def draw(axes: Axes) -> None:
        highest = top or max((value for row in values for value in row), default=0.0) or 1.0
        axes.imshow(values, cmap=HEAT, vmin=0.0, vmax=highest, aspect="auto")
        for at, row in enumerate(values):
            for beside, value in enumerate(row):
                colour = "#ffffff" if value > LIGHT_TEXT_ABOVE * highest else INK
                axes.text(
                    beside, at, form.format(value), ha="center", va="center", color=colour, fontsize=7.5
                )
        upright = _stand_upright(rows, columns, axes.figure.get_figwidth())
        axes.set_xticks(range(len(columns)), [short(name) for name in columns])
        axes.tick_params(axis="x", labelrotation=90.0 if upright else 0.0)
        axes.set_yticks(range(len(rows)), [short(name) for name in rows])
        axes.set_xlabel(across)
        axes.set_ylabel(down)
        axes.spines[:].set_visible(False)

    return draw


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    across: str,
    up: str,
) -> Draw:
    """A line a name."""

    def draw(axes: Axes) -> None:
        for colour, (name, (xs, ys)) in enumerate(curves.items()):
            again, at = divmod(colour, len(PALETTE))
            dash = DASHES[again % len(DASHES)]
            axes.plot(xs, ys, color=PALETTE[at], linestyle=dash, label=short(name), linewidth=1.6)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.grid()
        if len(curves) > 1:
            axes.legend(loc="best", fontsize=8)

    return draw


def _stand_upright(rows: Sequence[str], columns: Sequence[str], width_inches: float) -> bool:
    """Whether the names of columns need more room than the names of rows leave them side by side."""
    beside = width_inches / LETTER_INCHES - _longest(rows)
    return (_longest(columns) + GAP_LETTERS) * len(columns) > beside


def _longest(names: Sequence[str]) -> int:
    return max((len(short(name)) for name in names), default=0)


@contextmanager
def _style() -> Iterator[None]:
    """Our settings alone, whatever matplotlibrc says; a letter that the font lacks is a box."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        warnings.filterwarnings("ignore", message="constrained_layout not applied", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast("Any", STYLE))
        yield


def _write_beside(axes: Axes, end: float, row: int, text: str) -> None:
    axes.annotate(
        text, (end, row), xytext=(4, 0), textcoords="offset points", va="center", color=SOFT, fontsize=8
    )


def _name_rows(axes: Axes, names: Sequence[str], *, unit: str, most: int = MAX_LABEL) -> None:
    axes.set_yticks(range(len(names)), [short(name, most=most) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.set_xlabel(unit)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _legend_above(axes: Axes, parts: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=min(parts, 5), borderaxespad=0.2, fontsize=8)
