"""Choose the pictures that models are compared on."""

from __future__ import annotations

import random
from collections.abc import Sequence

from benchmarks.protocol.plan import ScoredPictures
from dermpack.dataset.manifest import Dataset, Picture, Split
from dermpack.errors import DatasetError


def choose(dataset: Dataset, split: Split, *, most: int | None, seed: int) -> ScoredPictures:
    """All pictures of the split, or so many of them, each label with its share; the seed decides which."""
    pictures = dataset.manifest.of(split)
    if not pictures:
        what = f"the {split.value} split has no pictures"
        raise DatasetError(dataset.folder, what, "Choose another --split.", code="empty-split")
    chosen = pictures if most is None or most >= len(pictures) else _drawn(pictures, most, seed)
    gone = [of.path for of in chosen if not dataset.file(of).is_file()]
    if gone:
        what = f"{len(gone)} of {len(chosen)} pictures are missing, for example {gone[0]}"
        hint = "Restore the files or import the dataset again."
        raise DatasetError(dataset.folder, what, hint, code="pictures-missing")
    return ScoredPictures(dataset=dataset, split=split, pictures=tuple(chosen))


def _drawn(pictures: Sequence[Picture], most: int, seed: int) -> list[Picture]:
    """Shuffled within each label, then every n-th: 10 and 90 pictures, 20 wanted → 2 and 18."""
    shuffled = random.Random(seed).sample(pictures, len(pictures))
    by_label = sorted(shuffled, key=lambda of: of.label)
    chosen = {by_label[at * len(by_label) // most].path for at in range(most)}
    return [of for of in pictures if of.path in chosen]
