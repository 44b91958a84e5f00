"""Read what the plugin counted between the worker's marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# As benchmarks/targets/emulated/arm/counter.c orders them.
KINDS = ("dot products of int8", "other vectors and floats", "loads and stores", "everything else")
BEGIN, END = "begin", "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """The instructions from one mark to the next, by kind."""

    kinds: tuple[int, ...]  # in the order of KINDS

    @property
    def instructions(self) -> int:
        return sum(self.kinds)


class UncountedError(ValueError):
    """The plugin's lines are not whole."""


def read_counts(path: Path) -> list[Inference]:
    """Every counted inference, in order; an inference that failed has a beginning only."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UncountedError("the QEMU plugin wrote no counts") from error
    return list(_between([line.split() for line in lines]))


def _between(lines: Sequence[Sequence[str]]) -> Iterator[Inference]:
    began: tuple[int, ...] | None = None
    for word, *numbers in lines:
        totals = _totals(numbers)
        if word == BEGIN:
            began = totals
        elif word == END and began is not None:
            yield Inference(kinds=tuple(after - before for before, after in zip(began, totals, strict=True)))
            began = None
        else:
            raise UncountedError(f"the QEMU plugin wrote {word} without a begin line")


def _totals(numbers: Sequence[str]) -> tuple[int, ...]:
    if len(numbers) != len(KINDS) or not all(number.isdecimal() for number in numbers):
        raise UncountedError("the totals of the QEMU plugin are truncated")
    return tuple(map(int, numbers))
