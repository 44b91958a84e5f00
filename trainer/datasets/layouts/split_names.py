"""The split that a source gives, by the words in use."""

from __future__ import annotations

from dermpack.dataset.manifest import Split

SPLIT_OF_WORD = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "test": Split.TEST,
    "testing": Split.TEST,
}


def split_named(word: str) -> Split | None:
    """The split that the word means, in any case: split_named("Valid") → Split.VALIDATION."""
    return SPLIT_OF_WORD.get(word.strip().casefold())
