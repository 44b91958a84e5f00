"""Proofs: what was looked at, and whether it is as promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from typing import Any

Figure = float | int | str | bool | None


class CheckOutcome(Enum):
    """How a proof ended; only FAILS is held against the file."""

    HOLDS = "holds"
    NOTED = "noted"  # not as one would expect, but as it should be: the detail says why
    UNTRIED = "not tried"
    FAILS = "fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One promise; `figures` are what was measured, for a program to read."""

    name: str
    outcome: CheckOutcome
    detail: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    code: str | None = None  # of the error that the check ended in

    def record(self) -> dict[str, Any]:
        return {
            "proof": self.name,
            "result": self.outcome.value,
            "detail": self.detail,
            "code": self.code,
            "figures": {name: _plain(value) for name, value in self.figures.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """All proofs of one export, in the order in which they were tried."""

    name: str
    sha256: str
    proofs: tuple[Check, ...]

    def count(self, outcome: CheckOutcome) -> int:
        return sum(proof.outcome is outcome for proof in self.proofs)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(proof for proof in self.proofs if proof.outcome is CheckOutcome.FAILS)

    def record(self) -> dict[str, Any]:
        return {
            "export": self.name,
            "sha256": self.sha256,
            "holds": not self.failed,
            "proofs": [proof.record() for proof in self.proofs],
        }


def held(name: str, problems: list[str], *, well: str) -> Check:
    """A proof of several parts: what is wrong with any of them, or what is well with all."""
    outcome = CheckOutcome.FAILS if problems else CheckOutcome.HOLDS
    return Check(name=name, outcome=outcome, detail="; ".join(problems) or well)


def _plain(value: Figure) -> Figure:
    """JSON knows neither NaN nor infinity."""
    return None if isinstance(value, float) and not isfinite(value) else value
