"""What integers do to each layer, as a table and a plot beside the export."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from dermpack.cli import main
from tests.support.errors import raises_code

pytestmark = pytest.mark.tensorflow
PNG = b"\x89PNG\r\n\x1a\n"


def errors(count: int) -> tuple[Any, ...]:
    from converter.search.selective import LayerError

    return tuple(
        LayerError(layer=f"net/layer_{at}/Conv2D", operator="CONV_2D", error=at / 10, scale=0.5)
        for at in range(count)
    )


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        ("net/a_relu/Relu6;net/a_bn/FusedBatchNormV3;net/a/Conv2D;net/a_bn/ReadVariableOp", "a"),
        ("net/b_relu/Relu6;net/b_bn/FusedBatchNormV3;net/b/depthwise;net/b_pad/Pad", "b"),
        ("net/predictions/MatMul;net/predictions/BiasAdd", "predictions"),
        ("net/block_2_add/add", "block_2_add"),
        ("Identity", "Identity"),
    ],
)
def test_a_layer_is_called_as_in_the_network(tensor: str, name: str) -> None:
    from converter.search.selective import LayerError

    assert LayerError(layer=tensor, operator="", error=0.0, scale=1.0).name == name


def test_the_table_has_a_row_a_layer_in_their_order() -> None:
    from converter.export.layer_report import layers_table

    table = layers_table(errors(3), kept=("net/layer_2/Conv2D",))
    rows = list(csv.DictReader(table.splitlines()))
    assert [row["number"] for row in rows] == ["1", "2", "3"]
    assert [row["layer"] for row in rows] == ["layer_0", "layer_1", "layer_2"]
    assert [float(row["error"]) for row in rows] == [0, 0.1, 0.2]
    assert [row["in_float"] for row in rows] == ["0", "0", "1"]


@pytest.mark.parametrize("count", [1, 12, 160])
def test_the_plot_is_the_same_bytes_twice(tmp_path: Path, count: int) -> None:
    from converter.export.layer_report import PLOT_FILE, write_layers

    plots = []
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        write_layers(tmp_path / name, errors(count), kept=("net/layer_0/Conv2D",))
        plots.append((tmp_path / name / PLOT_FILE).read_bytes())
    assert plots[0] == plots[1]
    assert plots[0].startswith(PNG)


def test_of_too_many_layers_the_worst_are_drawn() -> None:
    from converter.export.layer_plots import MOST_ROWS, Layer, _worst

    layers = [Layer(name=str(at), operator="ADD", error=-at, is_kept=False) for at in range(MOST_ROWS + 5)]
    assert _worst(layers) == layers[:MOST_ROWS]


def test_a_plain_conversion_tells_of_its_layers_when_asked(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "export"
    way = ("--method", "ptq", "--layer-errors", "--json")
    assert main(["convert", str(run), "-o", str(output), *way, "-q"]) == 0
    told = json.loads(capsys.readouterr().out)["layers"]["int8"]
    rows = list(csv.DictReader((output / "layers.csv").read_text().splitlines()))
    assert [one["layer"] for one in told] == [row["tensor"] for row in rows]
    assert (output / "layers.png").read_bytes().startswith(PNG)


def test_layers_are_told_of_integers_alone() -> None:
    from converter.quantize.tflite_conversion import Quantization
    from converter.search.request import ConversionRequest

    with raises_code("option-not-applicable", "--layer-errors", "int8"):
        ConversionRequest(recipes=(Quantization.FLOAT32,), layer_errors=True)
