"""Say at once which pictures of a dataset are not where it looks for them."""

from __future__ import annotations

from collections.abc import Collection

from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import DatasetError


def check_presence(dataset: Dataset, splits: Collection[Split]) -> None:
    """Raise where any picture of these splits is gone; before long work, not in its middle."""
    pictures = [picture for picture in dataset.pictures if picture.split in splits]
    gone = [picture.path for picture in pictures if not dataset.file(picture).is_file()]
    if gone:
        count = f"{len(pictures)} picture{'s' if len(pictures) != 1 else ''}"
        what = f"{len(gone)} of {count} not found in {dataset.pictures_folder}, for example {gone[0]}"
        hint = "Put them there, or import again (with --copy, the dataset contains its pictures)."
        raise DatasetError(dataset.folder, what, hint, code="pictures-missing")
