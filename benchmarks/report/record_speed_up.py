"""How many times as fast each model is as the first one, where both took turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.report.schema import Result, SpeedUp
from benchmarks.statistics.speed_up import compare


def paces(results: Sequence[Result], *, first: str, seed: int) -> Iterator[SpeedUp]:
    """Of raw rounds alone: the rounds of a tool that keeps them cannot be compared turn by turn."""
    bases = {of.where: of for of in results if of.model == first}
    for here in results:
        base = bases.get(here.where)
        if base is not None and base is not here:
            yield from _pace(base, here, seed)


def _pace(base: Result, here: Result, seed: int) -> Iterator[SpeedUp]:
    before, now = base.times, here.times
    if before is None or now is None or before.rounds_ms is None or now.rounds_ms is None:
        return
    turns = now.turns if now.turns == before.turns and now.turns else 1
    pair = compare(before.rounds_ms, now.rounds_ms, turns=turns, seed=seed)
    yield SpeedUp(
        model=here.model,
        first=base.model,
        where=here.where,
        times_as_fast=pair.times_as_fast,
        ci95=pair.ci95,
        is_told=pair.is_told,
    )
