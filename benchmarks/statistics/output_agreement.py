"""Whether the same file says the same in two places: on ARM as here, on one interpreter as on the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.report.schema import OutputAgreement, SettingOnTarget
from benchmarks.statistics.answers import DistinctOutputs
from dermpack.metrics.predictions import Integers


def agreements(told: Sequence[DistinctOutputs]) -> tuple[OutputAgreement, ...]:
    """Each place against another of the same model; places that compare alike stand together."""
    found: dict[tuple[object, ...], OutputAgreement] = {}
    for model in dict.fromkeys(of.model for of in told):
        mine = {place: of for of in told if of.model == model for place in of.where}
        for first, place in _pairs(list(mine)):
            one, other = mine[first], mine[place]
            if one.outputs.shape != other.outputs.shape or one.outputs.dtype != other.outputs.dtype:
                continue  # such outputs are not of one file; what they are worth says the answer
            key = (model, one.sha256, other.sha256, first.target, place.target, _alike(first, place))
            known = found.get(key) or _agreement(one, other, first)
            found[key] = replace(known, where=(*known.where, place))
    return tuple(found.values())


def _pairs(places: Sequence[SettingOnTarget]) -> Iterator[tuple[SettingOnTarget, SettingOnTarget]]:
    """On the first target each setting with the first one; elsewhere with the likest of the first target."""
    home = [place for place in places if place.target == places[0].target]
    for place in places[1:]:
        yield (home[0] if place in home else max(home, key=lambda of: _likeness(of, place))), place


def _likeness(one: SettingOnTarget, other: SettingOnTarget) -> tuple[bool, ...]:
    """Greater for what matters more to the outputs; the first of equals is taken."""
    alike = (one.runtime == other.runtime, one.kernels is other.kernels, one.threads == other.threads)
    return (alike[0] and alike[1], *alike)


def _alike(one: SettingOnTarget, other: SettingOnTarget) -> tuple[object, ...]:
    return one.runtime, one.kernels, other.runtime, other.kernels


def _agreement(one: DistinctOutputs, other: DistinctOutputs, first: SettingOnTarget) -> OutputAgreement:
    labels = [_labels(of) for of in (one, other)]
    with np.errstate(invalid="ignore"):  # a broken model may say infinity
        most = float(np.abs(one.real - other.real).max())
    return OutputAgreement(
        model=one.model,
        first=first,
        where=(),
        outputs=one.outputs.size,
        differing=int((one.outputs != other.outputs).sum()) if one is not other else 0,
        most=most if np.isfinite(most) else None,
        n=len(one.outputs),
        other_labels=int((labels[0] != labels[1]).sum()),
        steps=_steps(one, other),
    )


def _labels(told: DistinctOutputs) -> Integers:
    seen = told.predictions
    return np.asarray(np.argmax(told.real, axis=1) if seen is None else seen.predicted, dtype=np.int64)


def _steps(one: DistinctOutputs, other: DistinctOutputs) -> dict[str, int] | None:
    """Distance in steps of the output → how many outputs; None for floats, which have none."""
    if not np.issubdtype(one.outputs.dtype, np.integer):
        return None
    apart = np.abs(one.outputs.astype(np.int64) - other.outputs.astype(np.int64))
    return {str(step): count for step, count in sorted(Counter(apart[apart > 0].tolist()).items())}
