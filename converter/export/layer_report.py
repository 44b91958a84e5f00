"""Write what integers do to each layer: a table for a program, a plot for a person."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

from converter.export.layer_plots import Layer, layers_png
from converter.search.selective import HEALTHY, LayerError
from dermpack.storage.files import write_bytes, write_text

TABLE_FILE, PLOT_FILE = "layers.csv", "layers.png"
HEADER = ("number", "layer", "operator", "error", "scale", "in_float", "tensor")
DIGITS = 6


def write_layers(folder: Path, errors: Sequence[LayerError], *, kept: Collection[str]) -> None:
    """Beside an export; `kept` are the tensors that stay in floating point there."""
    write_text(folder / TABLE_FILE, layers_table(errors, kept=kept))
    layers = [
        Layer(name=one.name, operator=one.operator, error=one.error, is_kept=one.layer in kept)
        for one in errors
    ]
    write_bytes(folder / PLOT_FILE, layers_png(layers, healthy=HEALTHY))


def layers_table(errors: Sequence[LayerError], *, kept: Collection[str]) -> str:
    """CSV, a row a layer from the pixels up; a layer that only rounds has an error of 0.289 steps."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(HEADER)
    for number, one in enumerate(errors, start=1):
        figures = (f"{value:.{DIGITS}g}" for value in (one.error, one.scale))
        writer.writerow((number, one.name, one.operator, *figures, int(one.layer in kept), one.layer))
    return buffer.getvalue()
