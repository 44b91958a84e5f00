"""Compare the contract, and the requirements of the quantization, with the contents of the file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isclose

from dermpack.contract import FAMILIARITY, Contract, InputRecord, OutputRecord
from dermpack.errors import count_noun
from dermpack.storage.files import sha256_of
from dermpack.tflite.lint import bind_tensors
from dermpack.tflite.model_file import ModelFile, TensorInfo
from dermpack.verification.check_result import Check, CheckOutcome, check_from_problems

FLOAT32_ERROR = 1e-6  # relative, of a scale: 32 bits in the file, 64 in JSON
ORIGINAL = "original"  # the name of the quantization of a file that is kept as it is
FLOAT_TYPES = frozenset(("float32", "float16"))
SMALL = 1024  # numbers; the dynamic quantization leaves smaller tensors as they are


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorTypes:
    """The types inside a file, and the type of most of its weights."""

    inside: frozenset[str]  # int32 for shapes and biases, int64 for the biases of 16-bit activations
    weights: str


TENSOR_TYPES = {
    "float32": TensorTypes(inside=frozenset(("float32", "int32")), weights="float32"),
    "float16": TensorTypes(inside=frozenset(("float32", "float16", "int32")), weights="float16"),
    "dynamic": TensorTypes(inside=frozenset(("float32", "int8", "int32")), weights="int8"),
    "int8": TensorTypes(inside=frozenset(("int8", "int32")), weights="int8"),
    "int16x8": TensorTypes(inside=frozenset(("int16", "int8", "int32", "int64")), weights="int8"),
}


def check_bytes(data: bytes, contract: Contract) -> Check:
    """Check that the file is the one that the contract was written for."""
    problems, sha256 = [], sha256_of(data)
    if len(data) != contract.size_bytes:
        problems.append(f"{len(data):,} bytes, not {contract.size_bytes:,}")
    if sha256 != contract.sha256:
        problems.append(f"sha256 is {sha256[:12]}…, not {contract.sha256[:12]}…")
    return check_from_problems("bytes", problems, success=f"{len(data)} bytes, sha256 {sha256[:12]}…")


def check_description(model: ModelFile, contract: Contract) -> tuple[Check, ...]:
    """Check everything that both the contract and the flatbuffer state."""
    bound = bind_tensors(contract, model)
    if contract.recipe.name == ORIGINAL:  # the interpreters take one picture, whatever the file allows
        bound = {name: replace(tensor, is_dynamic=False) for name, tensor in bound.items()}
    counts = (len(contract.inputs), len(contract.outputs)) == (len(model.inputs), len(model.outputs))
    ends = (("input", contract.inputs), ("output", contract.outputs))
    return (
        *(
            _check_tensor(kind if len(records) == 1 else f"{kind} {name}", bound.get(name), record, counts)
            for kind, records in ends
            for name, record in records.items()
        ),
        _check_operators(model, contract),
        _check_metadata(model, contract),
    )


def _check_tensor(
    name: str, tensor: TensorInfo | None, stated: InputRecord | OutputRecord, has_counts: bool
) -> Check:
    """Check an input or an output."""
    problems = [] if has_counts else ["the file has another number of inputs or outputs"]
    if tensor is None:
        problems.append("the file has no tensor with this name")
    else:
        if tensor.dtype != stated.dtype.value:
            problems.append(f"the file has {tensor.dtype}, the contract {stated.dtype.value}")
        if tensor.shape != stated.shape or tensor.is_dynamic:
            problems.append(f"the file has the shape {list(tensor.shape)}, the contract {list(stated.shape)}")
        if not _are_equal(tensor.scales, stated.scale):
            problems.append(f"the file has the scale {_join(tensor.scales)}, the contract {stated.scale}")
        if tensor.scales and tensor.zero_points != (stated.zero_point,):
            zero_points = _join(tensor.zero_points)
            problems.append(f"the file has the zero point {zero_points}, the contract {stated.zero_point}")
    steps = "" if stated.scale is None else f", a step is {stated.scale:.6g}"
    return check_from_problems(name, problems, success=f"{stated.dtype.value} {list(stated.shape)}{steps}")


def _check_operators(model: ModelFile, contract: Contract) -> Check:
    used = {(operator.name, operator.version) for operator in model.operators}
    stated = {(operator.name, operator.version) for operator in contract.operators}
    problems = [f"{name} {version} is not in the contract" for name, version in sorted(used - stated)]
    problems += [f"{name} {version} is not in the file" for name, version in sorted(stated - used)]
    problems += [f"{operator.name} is not builtin" for operator in model.operators if operator.custom]
    return check_from_problems("operators", problems, success=f"{count_noun(len(used), 'kind')}, all builtin")


def _check_metadata(model: ModelFile, contract: Contract) -> Check:
    """Check that MediaPipe, which reads the metadata, gets what the contract states."""
    metadata = model.metadata
    if contract.recipe.name == ORIGINAL:
        detail = "kept as it was in the file; the contract was made later"
        return Check(name="metadata", outcome=CheckOutcome.NOTED, detail=detail)
    if metadata is None:
        return check_from_problems("metadata", ["the file has no metadata, so it has no labels"], success="")
    # A single output for two labels cannot have two names.
    labels = contract.labels if contract.probabilities.numbers == len(contract.labels) else ()
    pairs = (
        ("labels", metadata.labels, labels),
        ("name", metadata.name, contract.name),
        ("version", metadata.version, contract.version),
        ("licence", metadata.licence, contract.license),
    )
    problems = [f"its {field} differ from the contract's" for field, read, stated in pairs if read != stated]
    for field in ("mean", "std"):
        values, stated = getattr(metadata, field), getattr(contract.picture, field)
        # One number stands for all channels.
        each = values * len(stated) if len(values) == 1 else values
        if len(each) != len(stated) or not all(map(_is_equal, each, stated)):
            problems.append(f"its {field} is {_join(values)}, the contract's {_join(stated)}")
    # MediaPipe applies the temperature of the file; an app that reads the contract, that of the contract.
    temperature = contract.probabilities.temperature
    slope = 1.0 if temperature is None else 1 / temperature.value
    for sigmoid in metadata.calibration.sigmoids if metadata.calibration else ():
        if not isclose(sigmoid.slope, slope, rel_tol=FLOAT32_ERROR):
            in_file = f"{1 / sigmoid.slope:.4g}" if sigmoid.slope else "none"
            problems.append(f"the temperature is {1 / slope:.4g}, the file has {in_file}")
            break
    success = f"{len(metadata.labels)} labels, name, version, licence, mean, std"
    return check_from_problems("metadata", problems, success=success)


def _are_equal(values: tuple[float, ...], stated: float | None) -> bool:
    """Return whether the values are just the stated number, or none if none is stated."""
    if stated is None or len(values) != 1:
        return stated is None and not values
    return _is_equal(values[0], stated)


def _is_equal(value: float, stated: float) -> bool:
    return isclose(value, stated, rel_tol=FLOAT32_ERROR)


def _join(values: tuple[float, ...]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:4])
    return f"{shown} …" if len(values) > 4 else shown or "none"


def check_recipe(model: ModelFile, contract: Contract) -> Check:
    """Check that the types in the file are those of its quantization.

    Inputs and outputs may have another type, which the contract states.
    """
    name, float_layers = contract.recipe.name, contract.recipe.float_layers
    if name == ORIGINAL:
        counts = ", ".join(
            f"{count_noun(count, 'tensor')} of {dtype}" for dtype, count in model.dtypes().items()
        )
        return Check(name="recipe", outcome=CheckOutcome.NOTED, detail=f"kept as it was: {counts}")
    if name not in TENSOR_TYPES:
        return Check(name="recipe", outcome=CheckOutcome.UNTRIED, detail=f"{name}: unknown quantization")
    types, problems = TENSOR_TYPES[name], []
    ends = {tensor.name for tensor in (*model.inputs, *model.outputs)}
    allowed = types.inside | (FLOAT_TYPES if float_layers else frozenset())
    wrong = [tensor for tensor in model.tensors if tensor.dtype not in allowed and tensor.name not in ends]
    if contract.familiarity is not None:
        # The distance is computed in float32 with int8 weights, whatever the types of the rest are.
        wrong = [tensor for tensor in wrong if not is_of_distance(tensor)]
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        problems.append(f"the tensor {wrong[0].name!r} is {wrong[0].dtype}{more}")
    if not has_expected_weights(model, name):
        problems.append(f"fewer than half of its weights are {types.weights}")
    counts = ", ".join(f"{count_noun(count, 'tensor')} of {dtype}" for dtype, count in model.dtypes().items())
    floats = (
        f"; {count_noun(len(float_layers), 'layer stays', 'layers stay')} in floating point, as stated"
        if float_layers
        else ""
    )
    return check_from_problems("recipe", problems, success=f"{name}: {counts}{floats}")


def has_expected_weights(model: ModelFile, recipe: str) -> bool:
    """Return whether at least half of the weights have the type of the recipe."""
    stored = [tensor for tensor in model.tensors if tensor.parameters > SMALL and not is_of_distance(tensor)]
    expected = TENSOR_TYPES[recipe].weights
    count = sum(tensor.parameters for tensor in stored if tensor.dtype == expected)
    return 2 * count >= sum(tensor.parameters for tensor in stored)


def is_of_distance(tensor: TensorInfo) -> bool:
    """Return whether the tensor belongs to the computation of the distance, which every recipe has alike."""
    return tensor.name == FAMILIARITY or tensor.name.startswith(f"{FAMILIARITY}/")
