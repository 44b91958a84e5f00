"""Say at once which pictures of a dataset are not where it looks for them."""

from __future__ import annotations

from collections.abc import Sequence

from dermpack.errors import DatasetError
from dermpack.manifest import Dataset, Picture


def check_presence(dataset: Dataset, pictures: Sequence[Picture]) -> None:
    """Raise where any of the pictures is gone; before long work, not in its middle."""
    gone = [picture.path for picture in pictures if not dataset.file(picture).is_file()]
    if gone:
        count = f"{len(pictures)} picture{'s' if len(pictures) != 1 else ''}"
        what = f"lacks {len(gone)} of {count}, looked for in {dataset.pictures_folder}: {gone[0]}"
        cure = "put them there, or import again (with --copy, a dataset can be moved alone)"
        raise DatasetError(dataset.folder, what, cure)
