"""What an import says of pictures, beyond what one picture alone can tell."""

from __future__ import annotations

from enum import Enum

from dermpack.dataset.manifest import Finding


class ImportOutcome(Enum):
    """The closed vocabulary; `.value` is the word in the finding."""

    CONTRADICTION = "contradiction"  # pixel-identical under different labels; left out
    LEAK = "leak"  # a kept split parts a group or a cluster; left out when mended
    CHANGED = "changed"  # the file was rewritten or vanished meanwhile; left out
    UNREADABLE = "unreadable"  # left out
    IDENTICAL = "identical"  # repeats the pixels of an earlier picture with the same label
    NEAR = "near-duplicate"
    NEAR_OTHER_LABEL = "near-duplicate-other-label"
    UNUSED_SHARES = "split-unused"  # asked shares, where the source gives every split
    MISSING_CLASS = "missing-class"  # a split without pictures of a class


def outcome(word: ImportOutcome, picture: str, detail: str) -> Finding:
    return Finding(kind=word.value, picture=picture, detail=detail)
