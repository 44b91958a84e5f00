"""Check that an evidence map adds up to the answer, and that a plain export gives the same labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dermpack.contract import Contract, EvidenceOutput
from dermpack.errors import count_noun
from dermpack.inference.classifier import ClassifierOutputs
from dermpack.metrics.predictions import Floats
from dermpack.tflite.model_file import TensorInfo
from dermpack.verification.check_result import Check, CheckOutcome
from dermpack.verification.interpreter_runs import InterpreterRun

FLOAT_ERROR = 1e-5  # of a float probability: the last digits of a softmax in float32
ROUNDED = 1.0  # step of a quantized probability that a softmax may be off
LEAST_AGREEMENT = 0.99  # share of pictures with the label of the plain export


def measure_steps(
    probabilities: Floats,
    outputs: ClassifierOutputs,
    evidence: EvidenceOutput,
    *,
    probability_step: float,
    tensors: Sequence[TensorInfo] = (),
) -> Floats:
    """Return for each picture how far the mean of its map is from the logits, in steps of the map.

    The file does not return logits but probabilities, which fix the differences of logits up to their own
    rounding: log(p / top p) lies between two bounds, and only what is outside of them counts. Half of it
    counts, because each of the two logits may be off.

    `tensors` are those of the logits in the file. The range of a quantized one comes from the calibration. A
    picture unlike those of the calibration can exceed it, and its logit is then the limit of the range.
    """
    assert outputs.evidence is not None
    logits = outputs.evidence.mean(axis=(1, 2))
    if outputs.metadata_evidence is not None:
        logits = _limit(logits, tensors[:-1]) + outputs.metadata_evidence
    logits = _limit(logits, tensors[-1:])
    rows, top = np.arange(len(logits)), probabilities.argmax(axis=1)
    differences = logits - logits[rows, top][:, None]
    error = ROUNDED * probability_step + FLOAT_ERROR
    lowest, highest = np.maximum(probabilities - error, 0), np.maximum(probabilities + error, error)
    with np.errstate(divide="ignore"):  # a probability of 0 has no lower bound
        lower = np.log(lowest) - np.log(highest[rows, top])[:, None]
        upper = np.log(highest) - np.log(lowest[rows, top])[:, None]
    outside = np.maximum(np.maximum(lower - differences, differences - upper), 0)
    steps: Floats = outside.max(axis=1) / 2 / evidence.step
    return steps


def _limit(values: Floats, tensors: Sequence[TensorInfo]) -> Floats:
    """Return the values as the first of the tensors can represent them, without its rounding."""
    limits = tensors[0].limits if tensors else None
    return values if limits is None else np.clip(values, *limits)


def check_evidence(
    runs: Sequence[InterpreterRun], contract: Contract, tensors: Sequence[TensorInfo]
) -> Iterator[Check]:
    """Check on every interpreter that the mean of the map is the logit, which these tensors contain.

    This also proves the binding: with any two outputs exchanged, the sums would not fit.
    """
    evidence = contract.evidence
    if evidence is None:
        return
    for run in runs:
        if run.outputs is None or run.evidence is None:
            continue
        answers = ClassifierOutputs(
            probabilities=run.outputs, evidence=run.evidence, metadata_evidence=run.metadata_evidence
        )
        step = contract.probabilities.scale or 0.0
        steps = measure_steps(run.outputs, answers, evidence, probability_step=step, tensors=tensors)
        most = float(steps.max())
        is_within = most <= evidence.tolerance_steps  # false for NaN
        limit = f"{evidence.tolerance_steps:g} allowed, a step is {evidence.step:.3g}"
        yield Check(
            name=f"evidence on {run}",
            outcome=CheckOutcome.HOLDS if is_within else CheckOutcome.FAILS,
            detail=f"the mean of the map is at most {most:.2f} steps from the logit ({limit})",
            figures={"steps": most, "tolerance": evidence.tolerance_steps, "n": len(steps)},
        )


def check_plain_labels(own: Floats, plain: Floats) -> Check:
    """Check that the file with further outputs gives the labels of the plain export of the same run."""
    share = float((own.argmax(axis=1) == plain.argmax(axis=1)).mean())
    return Check(
        name="labels of the plain export",
        outcome=CheckOutcome.HOLDS if share >= LEAST_AGREEMENT else CheckOutcome.FAILS,
        detail=f"the same on {share:.1%} of {count_noun(len(own), 'picture')} ({LEAST_AGREEMENT:.0%} wanted)",
        figures={"agreement": share, "n": len(own)},
    )
