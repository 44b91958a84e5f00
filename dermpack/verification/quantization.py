"""Hold a file against the promise of its recipe: what is called int8 holds integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dermpack.contract import Contract
from dermpack.tflite import ModelFile
from dermpack.verification.checks import Check, CheckOutcome, held

FLOATS = frozenset(("float32", "float16"))
SMALL = 1024  # numbers: dynamic range leaves what is smaller as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorTypes:
    """The types inside the file, and that of most of its weights; int32 holds shapes and biases."""

    inside: frozenset[str]
    weights: str


RECIPES = {
    "float32": TensorTypes(inside=frozenset(("float32", "int32")), weights="float32"),
    "float16": TensorTypes(inside=frozenset(("float32", "float16", "int32")), weights="float16"),
    "dynamic": TensorTypes(inside=frozenset(("float32", "int8", "int32")), weights="int8"),
    "int8": TensorTypes(inside=frozenset(("int8", "int32")), weights="int8"),
    "int16x8": TensorTypes(inside=frozenset(("int16", "int8", "int32", "int64")), weights="int8"),
}


def check_recipe(model: ModelFile, contract: Contract) -> Check:
    """Inputs and outputs may have another type: the contract names it."""
    name = contract.recipe.name
    if name not in RECIPES:
        return Check(name="recipe", outcome=CheckOutcome.UNTRIED, detail=f"{name} is a recipe unknown here")
    kinds = RECIPES[name]
    problems = [*_tensors(model, contract, kinds), *_weights(model, kinds)]
    kept = contract.recipe.float_layers
    left = f"; {len(kept)} layers stay in floating point, as the contract says" if kept else ""
    return held("recipe", problems, well=f"{name}: {_counted(model)}{left}")


def _tensors(model: ModelFile, contract: Contract, kinds: TensorTypes) -> Iterator[str]:
    outside = {tensor.name for tensor in (*model.inputs, *model.outputs)}
    allowed = kinds.inside | (FLOATS if contract.recipe.float_layers else frozenset())
    wrong = [of for of in model.tensors if of.dtype not in allowed and of.name not in outside]
    for tensor in wrong[:1]:
        many = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        yield f"the tensor {tensor.name!r} is {tensor.dtype}{many}"


def _weights(model: ModelFile, kinds: TensorTypes) -> Iterator[str]:
    stored = [tensor for tensor in model.tensors if tensor.parameters > SMALL]
    fitting = sum(tensor.parameters for tensor in stored if tensor.dtype == kinds.weights)
    if 2 * fitting < sum(tensor.parameters for tensor in stored):
        yield f"fewer than half of its weights are {kinds.weights}"


def _counted(model: ModelFile) -> str:
    return ", ".join(f"{count} tensors of {dtype}" for dtype, count in model.dtypes().items())
