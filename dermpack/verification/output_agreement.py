"""Compare what several interpreters made of the same pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dermpack.contract import Contract, Runtimes
from dermpack.inference import Kernels
from dermpack.metrics.kernel_tolerance import MEAN_APART, MOST_APART
from dermpack.metrics.predictions import SUM_ERROR, Floats
from dermpack.verification.checks import Check, CheckOutcome
from dermpack.verification.interpreter_runs import InterpreterRun

ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How far probabilities may be apart: at most `strict`, or up to `known` for the reason named."""

    strict: float
    known: float
    known_mean: float
    reason: str


INTEGERS = "XNNPACK rounds between integer layers otherwise than the interpreter's own kernels"
ALLOWANCES = {
    "float32": Allowance(strict=1e-4, known=1e-4, known_mean=1e-4, reason=""),
    "float16": Allowance(strict=1e-4, known=1e-2, known_mean=1e-3, reason="some compute in half precision"),
    "dynamic": Allowance(
        strict=1e-4,
        known=MOST_APART,
        known_mean=MEAN_APART,
        reason="each rounds activations anew, in its own way",
    ),
    "int8": Allowance(strict=1 / 256, known=MOST_APART, known_mean=MEAN_APART, reason=INTEGERS),
    "int16x8": Allowance(strict=1 / 256, known=1 / 256, known_mean=1 / 256, reason=""),
}
SELECTIVE = "where layers of floats and of integers meet, kernels round in their own ways"


def check_runs(runs: Sequence[InterpreterRun], contract: Contract) -> Iterator[Check]:
    """Whether the file runs everywhere, but where the contract says that it does not."""
    for ran in runs:
        said = _said(ran, contract.runtimes)
        if ran.problem:
            outcome = CheckOutcome.NOTED if said is False else CheckOutcome.FAILS
            detail = f"{ran.problem}{'; as the contract says' if said is False else ''}"
        elif not _are_probabilities(ran.outputs):
            outcome, detail = CheckOutcome.FAILS, "its outputs are no probabilities"
        else:
            outcome = CheckOutcome.NOTED if said is False else CheckOutcome.HOLDS
            detail = _how(ran) + ("; the contract says that it does not work here" if said is False else "")
        yield Check(name=f"runs on {ran}", outcome=outcome, detail=detail, code=ran.problem_code or None)
    yield from _missing(runs, contract.runtimes)


def check_outputs(runs: Sequence[InterpreterRun], contract: Contract) -> Iterator[Check]:
    """Every run against the first that gave outputs."""
    well = [ran for ran in runs if ran.outputs is not None]
    for ran in well[1:]:
        yield _compared(well[0], ran, contract)


def reference(runs: Sequence[InterpreterRun]) -> InterpreterRun | None:
    return next((ran for ran in runs if ran.outputs is not None), None)


def apart(first: Floats, second: Floats) -> dict[str, float | int]:
    """How far, at most and on average, and on how many pictures the label differs."""
    distance = np.abs(first - second)
    return {
        "max": float(distance.max()),
        "mean": float(distance.mean()),
        "other_labels": int((first.argmax(axis=1) != second.argmax(axis=1)).sum()),
        "n": len(first),
    }


def told(found: dict[str, float | int], scale: float | None) -> str:
    """A line for a person; steps where the output has them."""
    steps = f" ({found['max'] / scale:.0f} steps)" if scale else ""
    labels = f"another label on {found['other_labels']} of {found['n']}"
    return f"at most {found['max']:.2g}{steps}, on average {found['mean']:.2g} apart; {labels}"


def _compared(first: InterpreterRun, second: InterpreterRun, contract: Contract) -> Check:
    assert first.outputs is not None and second.outputs is not None
    found = apart(first.outputs, second.outputs)
    allowed = ALLOWANCES.get(contract.recipe.name, ALLOWANCES["int8"])
    other_kernels = first.is_delegated or second.is_delegated
    is_known = other_kernels or (first.engine is not second.engine and not _is_integer(contract))
    outcome, why = CheckOutcome.FAILS, f"; more than {allowed.strict:.2g}"
    if found["max"] <= allowed.strict + ROUNDING:
        outcome, why = CheckOutcome.HOLDS, ""
    elif is_known and found["max"] <= allowed.known and found["mean"] <= allowed.known_mean:
        outcome, why = (
            CheckOutcome.NOTED,
            f": {SELECTIVE if contract.recipe.float_layers else allowed.reason}",
        )
    return Check(
        name=f"outputs on {second}",
        outcome=outcome,
        detail=f"{told(found, contract.output.scale)}{why}",
        figures={"against": str(first), **found},
    )


def _are_probabilities(outputs: Floats | None) -> bool:
    """From 0 to 1, of a sum near 1: 8 bits round each of k labels by up to half a step."""
    if outputs is None or not np.isfinite(outputs).all() or outputs.min() < -ROUNDING:
        return False
    return bool(np.abs(outputs.sum(axis=1) - 1).max() <= max(SUM_ERROR, outputs.shape[1] / 256))


def _is_integer(contract: Contract) -> bool:
    """Arithmetic of integers alone is the same everywhere, where the same kernels do it."""
    return contract.recipe.name in ("int8", "int16x8") and not contract.recipe.float_layers


def _said(ran: InterpreterRun, runtimes: Runtimes) -> bool | None:
    """What the contract says of this interpreter; None where it does not speak of it."""
    mine = [of for of in runtimes.tried if (of.runtime, of.version) == (ran.engine.package, ran.version)]
    exact = [of.works for of in mine if of.delegate == ran.kernels.value]
    return exact[0] if exact else all(of.works for of in mine) if mine else None


def _how(ran: InterpreterRun) -> str:
    assert ran.outputs is not None
    kernels = (
        "; XNNPACK takes no part of it" if ran.kernels is Kernels.XNNPACK and not ran.is_delegated else ""
    )
    return f"{len(ran.outputs)} pictures{kernels}"


def _missing(runs: Sequence[InterpreterRun], runtimes: Runtimes) -> Iterator[Check]:
    here = {(ran.engine.package, ran.version) for ran in runs}
    for runtime, version in sorted({(of.runtime, of.version) for of in runtimes.tried if of.works} - here):
        detail = "the contract names it; it is not installed here"
        yield Check(name=f"runs on {runtime} {version}", outcome=CheckOutcome.UNTRIED, detail=detail)
