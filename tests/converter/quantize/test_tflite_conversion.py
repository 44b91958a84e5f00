"""Each file meets the requirements of its recipe, and of no other."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.drawn_networks import LABELS, SIZE, noise
from tests.support.errors import raises_code

pytestmark = pytest.mark.tensorflow
RECIPES = ("float32", "float16", "dynamic", "int8", "int16x8")


@pytest.fixture(scope="module")
def files(frozen: Any) -> dict[str, bytes]:
    """Return the files by recipe and io type, with the ranges of two pictures."""
    from converter.quantize.calibration import measure_ranges, write_ranges
    from converter.quantize.tflite_conversion import Quantization, convert, convert_unquantized, quantize

    made = {}
    for recipe in Quantization:
        if recipe.needs_ranges:
            start = convert_unquantized(frozen, recipe)
            ranged = write_ranges(start, measure_ranges(start, noise(2)).reached())
            made.update(
                {f"{recipe.value} {io.value}": quantize(ranged, recipe, io=io) for io in recipe.io_types}
            )
        else:
            made[f"{recipe.value} float32"] = convert(frozen, recipe, io=recipe.io_types[0])
    return made


def check(data: bytes, recipe: str, io: str, *, labels: int = LABELS, has_float_layers: bool = False) -> Any:
    from converter.quantize.tflite_conversion import IoType, Quantization
    from converter.search.candidate import check_file

    return check_file(
        data,
        Quantization(recipe),
        io=IoType(io),
        inputs={"picture": (1, SIZE, SIZE, 3)},
        outputs={"probabilities": (1, labels)},
        has_float_layers=has_float_layers,
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_file_meets_the_requirements_of_its_recipe(files: dict[str, bytes], recipe: str) -> None:
    for name, data in files.items():
        if name.startswith(f"{recipe} "):
            check(data, *name.split())


@pytest.mark.parametrize(("recipe", "other"), [(a, b) for a in RECIPES for b in RECIPES if a != b])
def test_no_file_passes_for_another_recipe(files: dict[str, bytes], recipe: str, other: str) -> None:
    with raises_code("conversion-check-failed", other):
        check(files[f"{recipe} float32"], other, "float32")


@pytest.mark.parametrize(("made", "requested"), [("uint8", "int8"), ("int8", "uint8"), ("float32", "uint8")])
def test_another_input_type_than_requested_is_refused(
    files: dict[str, bytes], made: str, requested: str
) -> None:
    with raises_code("conversion-check-failed", "picture", made, requested):
        check(files[f"int8 {made}"], "int8", requested)


def test_another_number_of_labels_is_refused(files: dict[str, bytes]) -> None:
    with raises_code("conversion-check-failed", "probabilities", [1, 3], [1, 4]):
        check(files["int8 uint8"], "int8", "uint8", labels=4)


def test_an_input_that_is_not_raw_bytes_is_refused(frozen: Any) -> None:
    from converter.quantize.calibration import measure_ranges, write_ranges
    from converter.quantize.tflite_conversion import IoType, Quantization, convert_unquantized, quantize

    start = convert_unquantized(frozen, Quantization.INT8)
    limits = measure_ranges(start, noise(1)).reached()
    limits[0] = (-0.8, 1.0)
    with raises_code("conversion-check-failed", "picture", "scale [", "1/127.5"):
        check(quantize(write_ranges(start, limits), Quantization.INT8, io=IoType.UINT8), "int8", "uint8")


@pytest.mark.parametrize(("io", "middles"), [("uint8", (127, 128)), ("int8", (-1, 0))])
def test_integers_take_raw_bytes(files: dict[str, bytes], io: str, middles: tuple[int, int]) -> None:
    entrance = check(files[f"int8 {io}"], "int8", io).inputs[0]
    assert entrance.scales[0] == pytest.approx(1 / 127.5)
    assert entrance.zero_points[0] in middles


def test_dynamic_range_has_no_dense_layer_that_the_older_interpreter_lacks(files: dict[str, bytes]) -> None:
    from dermpack.tflite.reading import read_model

    read = read_model(files["dynamic float32"], where="model")
    assert max(item.version for item in read.operators if item.name == "FULLY_CONNECTED") <= 11


def test_the_float_file_is_the_network(files: dict[str, bytes], mobilenet: Any) -> None:
    import tensorflow as tf

    from converter.quantize.tflite_conversion import open_interpreter

    inputs = noise(1) / tf.constant(127.5) - 1
    interpreter = open_interpreter(files["float32 float32"])
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert result == pytest.approx(mobilenet(inputs).numpy(), abs=1e-3)  # kernels add in another order


def test_a_sigmoid_becomes_the_second_of_two_outputs() -> None:
    from converter.quantize.tflite_conversion import IoType, Quantization, convert, freeze
    from trainer.model.network import build_network, convert_to_softmax
    from trainer.recipe.network_spec import Arch, Head, NetworkSpec, Weights

    spec = NetworkSpec(arch=Arch.SCRATCH_CNN, size=28, classes=2, head=Head.SIGMOID, filters=(4,))
    model = convert_to_softmax(build_network(spec, weights=Weights.NONE, seed=0))
    data = convert(freeze(model), Quantization.FLOAT32, io=IoType.FLOAT32)
    from dermpack.tflite.reading import read_model

    assert read_model(data, where="model").outputs[0].shape == (1, 2)


def test_an_io_that_the_recipe_lacks_is_refused() -> None:
    from converter.quantize.tflite_conversion import IoType, Quantization
    from converter.request import ConversionRequest

    with raises_code("option-not-applicable", "--io uint8", "float16", "float32"):
        ConversionRequest(recipes=(Quantization.FLOAT16,), io=IoType.UINT8)
