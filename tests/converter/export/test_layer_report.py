"""The int8 error of each layer is written as a table and a plot."""

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
    from converter.quantize.layer_errors import LayerError

    return tuple(
        LayerError(layer=f"net/layer_{index}/Conv2D", operator="CONV_2D", error=index / 10, scale=0.5)
        for index in range(count)
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
def test_a_layer_has_its_name_in_the_network(tensor: str, name: str) -> None:
    from converter.quantize.layer_errors import LayerError

    assert LayerError(layer=tensor, operator="", error=0.0, scale=1.0).name == name


def test_the_table_has_a_row_for_each_layer_in_order() -> None:
    from converter.export.layer_report import layers_table

    table = layers_table(errors(3), float_layers=("net/layer_2/Conv2D",))
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
        write_layers(tmp_path / name, errors(count), float_layers=("net/layer_0/Conv2D",))
        plots.append((tmp_path / name / PLOT_FILE).read_bytes())
    assert plots[0] == plots[1]
    assert plots[0].startswith(PNG)


def test_only_the_worst_of_many_layers_are_drawn() -> None:
    from converter.export.layer_report import MAX_ROWS, worst_rows
    from converter.quantize.layer_errors import LayerError

    layers = [
        LayerError(layer=str(index), operator="ADD", error=-index, scale=1.0) for index in range(MAX_ROWS + 5)
    ]
    assert worst_rows(layers) == layers[:MAX_ROWS]


def test_layer_errors_are_written_on_request(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "export"
    way = ("--method", "ptq", "--layer-errors", "--max-drop", "100", "--json")
    assert main(["convert", str(run), "-o", str(output), *way, "-q"]) == 0
    answer = json.loads(capsys.readouterr().out)["layers"]["int8"]
    rows = list(csv.DictReader((output / "layers.csv").read_text().splitlines()))
    assert [one["layer"] for one in answer] == [row["tensor"] for row in rows]
    assert (output / "layers.png").read_bytes().startswith(PNG)


def test_layer_errors_apply_to_int8_only() -> None:
    from converter.quantize.tflite_conversion import Quantization
    from converter.request import ConversionRequest

    with raises_code("option-not-applicable", "--layer-errors", "int8"):
        ConversionRequest(recipes=(Quantization.FLOAT32,), layer_errors=True)
