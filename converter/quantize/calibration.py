"""Choose the pictures that ranges are measured on, and judge whether they are enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, islice, zip_longest

import numpy as np

from converter.quantize.ranges import Ranges
from dermpack.dataset.manifest import Picture
from dermpack.storage.files import sha256_of

ENOUGH = 200  # pictures; 100 to 500 is usual
SETTLED = 0.2  # two halves whose ranges differ by more say that there are too few pictures


def choose_pictures(pictures: Sequence[Picture], *, count: int, seed: int) -> tuple[Picture, ...]:
    """As many of each label as there are, in turns, in an order that the seed decides."""
    of_label: dict[str, list[Picture]] = defaultdict(list)
    for picture in sorted(pictures, key=lambda picture: sha256_of(f"{seed} {picture.sha256}".encode())):
        of_label[picture.label].append(picture)
    turns = chain.from_iterable(zip_longest(*(of_label[label] for label in sorted(of_label))))
    return tuple(islice((picture for picture in turns if picture is not None), count))


def fingerprint(pictures: Sequence[Picture]) -> str:
    """Names the pictures by their bytes, in any order."""
    return sha256_of("\n".join(sorted(picture.sha256 for picture in pictures)).encode())


def unsettled(ranges: Ranges) -> tuple[str, ...]:
    """The tensors whose range is another on every other picture."""
    if len(ranges) < 2:
        return ranges.names
    first, second = (limits[:, 1] - limits[:, 0] for limits in ranges.halves())
    differ = np.abs(first - second) > SETTLED * np.maximum(first, second)
    return tuple(name for name, differs in zip(ranges.names, differ, strict=True) if differs)
