"""Ask a variant what it makes of pixels, as an app does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from dermpack.bundle.variants import Variant
from dermpack.contract import Contract
from dermpack.errors import InputError
from dermpack.imaging import Pixels
from dermpack.inference import InterpreterHost, Kernels, open_host
from dermpack.inference.runtimes import first_installed
from dermpack.inference.tensors import Floats, Tensor, dequantize, input_table, tensor_from, two_sided
from dermpack.metrics.calibration import Temperature, apply_temperature


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VariantOutput:
    """The very bytes that go in and come out for one picture, and what they mean."""

    fed: bytes
    output: bytes
    probabilities: Floats  # [k], under the contract's temperature


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RuntimeOutputs:
    """What one interpreter said of all pictures."""

    runtime: str  # "ai-edge-litert 2.3.0, XNNPACK"
    answers: tuple[VariantOutput, ...]


def ask(variants: Sequence[Variant], pixels: Pixels) -> tuple[RuntimeOutputs, ...]:
    """Each variant on the first interpreter here, as an app starts it; pixels are uint8 [n, s, s, 3]."""
    with open_host(first_installed()) as host:
        return tuple(ask_one(host, of, pixels, kernels=Kernels.XNNPACK) for of in variants)


def ask_one(host: InterpreterHost, variant: Variant, pixels: Pixels, *, kernels: Kernels) -> RuntimeOutputs:
    worker = host.load(variant.model, where=variant.where, threads=1, kernels=kernels)
    input_, output = (_tensor(worker.described[which], variant) for which in ("inputs", "outputs"))
    fed = input_table(input_)[pixels]
    answer = worker.run(fed.tobytes())
    rows = np.frombuffer(answer, dtype=output.number.dtype).reshape(len(pixels), -1)
    found = _probabilities(dequantize(rows, output), variant.contract)
    how = "XNNPACK" if kernels is Kernels.XNNPACK else "own kernels"
    return RuntimeOutputs(
        runtime=f"{host.engine.package} {version(host.engine.package)}, {how}",
        answers=tuple(
            VariantOutput(fed=each.tobytes(), output=row.tobytes(), probabilities=these)
            for each, row, these in zip(fed, rows, found, strict=True)
        ),
    )


def _tensor(described: list[dict[str, object]], variant: Variant) -> Tensor:
    try:
        (only,) = described
        return tensor_from(only)
    except ValueError as error:
        what = "not a classifier with one input and one output"
        raise InputError(variant.where, what, "Convert the run again.", code="invalid-model") from error


def _probabilities(real: Floats, contract: Contract) -> Floats:
    sides, said = two_sided(real, contract.labels), contract.output.temperature
    if said is None:
        return sides
    names = ("value", "floor", "n", "nll_before", "nll_after", "ece_before", "ece_after")
    return apply_temperature(sides, Temperature(**{name: getattr(said, name) for name in names}))
