"""Compare the outputs of a file between interpreters, and with the network that it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dermpack.contract import Contract, MetadataColumn, Runtimes
from dermpack.errors import count_noun
from dermpack.evaluation.evaluate import MetadataPredictor, Predictor
from dermpack.inference.interpreter_host import Kernels
from dermpack.inference.metadata_rows import MetadataVariant
from dermpack.metrics.intervals import MAX_KERNEL_DIFFERENCE, MEAN_KERNEL_DIFFERENCE
from dermpack.metrics.predictions import SUM_ERROR, Floats
from dermpack.progress import Track, silent
from dermpack.verification.check_result import Check, CheckOutcome, check_from_problems
from dermpack.verification.interpreter_runs import InterpreterRun, SamplePictures

ROUNDING = 1e-6
# The greatest difference; int8 files differ by design. Weights rounded to float16 move the probabilities of a
# trained MobileNetV2 by up to 0.018, where two labels are about equally probable.
NETWORK_ALLOWED = {"float32": 1e-4, "float16": 3e-2}
NETWORK_MEAN = 0.15  # a file with a greater mean difference can hardly come from the network


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How far probabilities may be apart: at most `strict`, or up to `known` for a known reason."""

    strict: float
    known: float = MAX_KERNEL_DIFFERENCE
    known_mean: float = MEAN_KERNEL_DIFFERENCE
    reason: str = ""


HALF_REASON = "some kernels compute in half precision"
DYNAMIC_REASON = "each interpreter rounds activations in its own way"
INT8_REASON = "XNNPACK rounds differently between int8 layers than the interpreter's own kernels"
ADDITION_REASON = "the interpreters round the additions of int8 layers differently"
ADDITION = ("ADD", 2)  # the operator and its first version with int8
ALLOWANCES = {
    "float32": Allowance(strict=1e-4, known=1e-4, known_mean=1e-4),
    "float16": Allowance(strict=1e-4, known=1e-2, known_mean=1e-3, reason=HALF_REASON),
    "dynamic": Allowance(strict=1e-4, reason=DYNAMIC_REASON),
    "int8": Allowance(strict=1 / 256, reason=INT8_REASON),
    "int16x8": Allowance(strict=1 / 256, known=1 / 256, known_mean=1 / 256),
}
SELECTIVE_REASON = "kernels round differently where float and int8 layers meet"
NOT_WORKING = "; the contract states that it does not work here"
KERNELS_HINT = "Do not ship it: the kernels of this runtime give different answers for this model."
METHODS = ("ptq", "qat", "selective")  # of an int8 file that dermpack has quantized


# --- Between interpreters ---


def check_runs(runs: Sequence[InterpreterRun], contract: Contract) -> Iterator[Check]:
    """Check that the file runs on every interpreter, except where the contract states that it does not."""
    for run in runs:
        is_expected_to_fail = is_stated_to_work(run, contract.runtimes) is False
        outcome = CheckOutcome.NOTED if is_expected_to_fail else CheckOutcome.HOLDS
        if run.problem:
            outcome = CheckOutcome.NOTED if is_expected_to_fail else CheckOutcome.FAILS
            detail = run.problem + ("; as stated in the contract" if is_expected_to_fail else "")
        elif run.outputs is None or not _are_probabilities(run.outputs):
            outcome = CheckOutcome.NOTED if is_expected_to_fail else CheckOutcome.FAILS
            detail = "its outputs are not probabilities" + (NOT_WORKING if is_expected_to_fail else "")
        else:
            detail = count_noun(len(run.outputs), "picture")
            if run.kernels is Kernels.XNNPACK and not run.is_delegated:
                detail += "; XNNPACK executes no part of it"
            if is_expected_to_fail:
                detail += NOT_WORKING
        yield Check(name=f"runs on {run}", outcome=outcome, detail=detail, code=run.problem_code or None)
    tried = contract.runtimes.tried
    working = {(result.runtime, result.version) for result in tried if result.works}
    for runtime, version in sorted(working - {(run.engine.package, run.version) for run in runs}):
        detail = "listed in the contract, but not installed here"
        yield Check(name=f"runs on {runtime} {version}", outcome=CheckOutcome.UNTRIED, detail=detail)


def is_stated_to_work(run: InterpreterRun, runtimes: Runtimes) -> bool | None:
    """Return whether the contract states that the file works here; None if it states nothing.

    A result of the same kernels counts most; without one, the file must work with all that were tried.
    """
    results = [
        result
        for result in runtimes.tried
        if (result.runtime, result.version) == (run.engine.package, run.version)
    ]
    exact = [result.works for result in results if result.delegate == run.kernels.value]
    if exact:
        return exact[0]
    return all(result.works for result in results) if results else None


def _are_probabilities(outputs: Floats) -> bool:
    """Return whether all are from 0 to 1, with a sum near 1; 8 bits round each by up to half a step."""
    if not np.isfinite(outputs).all() or outputs.min() < -ROUNDING:
        return False
    return bool(np.abs(outputs.sum(axis=1) - 1).max() <= max(SUM_ERROR, outputs.shape[1] / 256))


def order_runs(runs: Sequence[InterpreterRun], contract: Contract) -> list[InterpreterRun]:
    """Return the runs that gave outputs, first those that the contract states to work, last the others.

    The first of them is the reference: wrong kernels must not decide about correct ones.
    """
    order = (True, None, False)
    ended = [run for run in runs if run.outputs is not None]
    return sorted(ended, key=lambda run: order.index(is_stated_to_work(run, contract.runtimes)))


def check_outputs(runs: Sequence[InterpreterRun], contract: Contract) -> Iterator[Check]:
    """Compare every run that gave outputs with the reference, the first of `order_runs`."""
    recipe, is_selective = contract.recipe.name, bool(contract.recipe.float_layers)
    allowed = ALLOWANCES.get(recipe, ALLOWANCES["int8"])
    is_integer = recipe in ("int8", "int16x8") and not is_selective
    name, version = ADDITION
    adds_layers = any(each.name == name and each.version >= version for each in contract.operators)
    reference: InterpreterRun | None = None
    for run in order_runs(runs, contract):
        assert run.outputs is not None
        if reference is None or reference.outputs is None:
            reference = run
            continue
        apart = measure_difference(reference.outputs, run.outputs)
        # Integer arithmetic gives the same result everywhere, with two exceptions: the kernels of XNNPACK
        # round differently between the layers, and ai-edge-litert 2.3.0 and tflite-runtime 2.14.0 round one
        # sum of two layers in a thousand to another step. Floats may also differ between interpreters.
        is_rounded_by_xnnpack = reference.is_delegated or run.is_delegated
        is_other_engine = reference.engine is not run.engine
        has_reason = is_rounded_by_xnnpack or (is_other_engine and (adds_layers or not is_integer))
        outcome, hint = CheckOutcome.FAILS, ""
        if apart["max"] <= allowed.strict + ROUNDING:
            outcome, reason = CheckOutcome.HOLDS, ""
        elif has_reason and apart["max"] <= allowed.known and apart["mean"] <= allowed.known_mean:
            outcome = CheckOutcome.NOTED
            is_by_sums = is_integer and not is_rounded_by_xnnpack
            known = ADDITION_REASON if is_by_sums else allowed.reason
            reason = f": {SELECTIVE_REASON if is_selective else known}"
        else:
            reason, hint = _describe_excess(apart, allowed, has_reason=has_reason), _kernels_hint(contract)
            if is_stated_to_work(run, contract.runtimes) is False:
                outcome, reason = CheckOutcome.NOTED, reason + NOT_WORKING
        yield Check(
            name=f"outputs on {run}",
            outcome=outcome,
            detail=f"{_describe_difference(apart, contract.probabilities.scale)}{reason}",
            figures={"against": str(reference), **apart},
            hint=hint,
        )


def _describe_excess(apart: dict[str, float | int], allowed: Allowance, *, has_reason: bool) -> str:
    """Return which limit the difference exceeds."""
    limit = allowed.known if has_reason else allowed.strict
    if apart["max"] <= limit + ROUNDING:
        return f"; more than {allowed.known_mean:.2g} on average"
    return f"; more than {limit:.2g}"


def _kernels_hint(contract: Contract) -> str:
    is_own_int8 = contract.recipe.name == "int8" and contract.recipe.method in METHODS
    way = "with --float16 or another --method" if is_own_int8 else "to another quantization"
    return f"{KERNELS_HINT} Convert it {way}."


def measure_difference(first: Floats, second: Floats) -> dict[str, float | int]:
    """Return the greatest and the mean difference, and on how many pictures the label differs."""
    distance = np.abs(first - second)
    return {
        "max": float(distance.max()),
        "mean": float(distance.mean()),
        "other_labels": int((first.argmax(axis=1) != second.argmax(axis=1)).sum()),
        "n": len(first),
    }


def _describe_difference(apart: dict[str, float | int], scale: float | None) -> str:
    steps = f" ({apart['max'] / scale:.0f} steps)" if scale else ""
    labels = f"another label on {apart['other_labels']} of {apart['n']}"
    return f"at most {apart['max']:.2g}{steps}, on average {apart['mean']:.2g} apart; {labels}"


# --- With the float network ---


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatNetwork:
    """A run's network without its temperature, and the hashes that a contract identifies it by."""

    predictor: Predictor
    run_sha256: str
    weights_sha256: str

    def fits(self, contract: Contract) -> bool:
        """Return whether the network has the contract's labels; others could not be compared."""
        return self.predictor.classes == contract.labels


class CachedPredictor:
    """A predictor that predicts each file once: all exports of a run are compared with the same network."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._cache: dict[Path, Floats] = {}

    @property
    def columns(self) -> tuple[MetadataColumn, ...]:
        """The metadata columns of the network."""
        return self._predictor.columns if isinstance(self._predictor, MetadataPredictor) else ()

    @property
    def has_picture(self) -> bool:
        return not isinstance(self._predictor, MetadataPredictor) or self._predictor.has_picture

    def predict_variants(
        self, files: Sequence[Path], variants: Sequence[MetadataVariant], *, track: Track = silent
    ) -> Floats:
        """Return [variants, n, k]; these predictions are not cached."""
        assert isinstance(self._predictor, MetadataPredictor)
        return self._predictor.predict_variants(files, variants, track=track)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the outputs."""
        return self._predictor.classes

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
        new = [file for file in dict.fromkeys(files) if file not in self._cache]
        if new:
            self._cache.update(zip(new, self._predictor(new, track=track), strict=True))
        return np.array([self._cache[file] for file in files])


def check_network(
    network: FloatNetwork, contract: Contract, samples: SamplePictures, run: InterpreterRun | None
) -> Iterator[Check]:
    """Check that the file was made from the network, and compare the outputs of both on the same pictures."""
    parents = contract.parents
    pairs = (("run", network.run_sha256, parents.run), ("weights", network.weights_sha256, parents.weights))
    problems = [
        f"the contract names another {parent}: {stated[:12]}…"
        if stated
        else f"the contract names no {parent}"
        for parent, sha256, stated in pairs
        if sha256 != stated
    ]
    success = f"run {network.run_sha256[:12]}…, weights {network.weights_sha256[:12]}…"
    yield check_from_problems("parent", problems, success=success)
    if not network.fits(contract):
        detail = "its labels differ from those of the contract"
        yield Check(name="network", outcome=CheckOutcome.FAILS, detail=detail)
    elif run is not None and run.outputs is not None:
        apart = measure_difference(network.predictor(samples.files), run.outputs)
        allowed = NETWORK_ALLOWED.get(contract.recipe.name)
        if allowed is None:
            outcome = CheckOutcome.NOTED if apart["mean"] <= NETWORK_MEAN else CheckOutcome.FAILS
        else:
            outcome = CheckOutcome.HOLDS if apart["max"] <= allowed + ROUNDING else CheckOutcome.FAILS
        detail = f"{_describe_difference(apart, contract.probabilities.scale)}, on {samples}"
        yield Check(name="network", outcome=outcome, detail=detail, figures={"against": str(run), **apart})
