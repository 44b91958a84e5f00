"""Define the result of a check, and of all checks of one export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from typing import Any

Figure = float | int | str | bool | None


class CheckOutcome(Enum):
    """How a check ended; only FAILS makes the verification fail."""

    HOLDS = "holds"
    NOTED = "noted"  # unexpected, but not an error; the detail has the reason
    UNTRIED = "not tried"
    FAILS = "fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One verified property; `figures` are the measurements, for programs."""

    name: str
    outcome: CheckOutcome
    detail: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    code: str | None = None  # of the error that ended the check
    hint: str = ""  # what to do if it fails; "" if the file may be damaged

    def record(self) -> dict[str, Any]:
        """Return the check as JSON values; NaN and infinity, which JSON lacks, become None."""
        return {
            "proof": self.name,
            "result": self.outcome.value,
            "detail": self.detail,
            "code": self.code,
            "figures": {
                name: None if isinstance(value, float) and not isfinite(value) else value
                for name, value in self.figures.items()
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """All checks of one export, in the order in which they ran."""

    name: str
    sha256: str
    checks: tuple[Check, ...]

    def count(self, outcome: CheckOutcome) -> int:
        """Return how many checks ended with this outcome."""
        return sum(check.outcome is outcome for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome is CheckOutcome.FAILS)

    def record(self) -> dict[str, Any]:
        """Return the verification as JSON values."""
        return {
            "export": self.name,
            "sha256": self.sha256,
            "holds": not self.failed,
            "proofs": [check.record() for check in self.checks],
        }


def check_from_problems(name: str, problems: Sequence[str], *, success: str) -> Check:
    """Return a check that fails with its problems, or holds with the text `success`."""
    outcome = CheckOutcome.FAILS if problems else CheckOutcome.HOLDS
    return Check(name=name, outcome=outcome, detail="; ".join(problems) or success)
