"""Read the nine-class ISIC download of Kaggle: Train/ and Test/ with one folder a diagnosis."""

from __future__ import annotations

from pathlib import Path

from dermpack.progress import Track
from trainer.datasets.layouts.dermnet import holds_classes
from trainer.datasets.layouts.folders import read_class_folders
from trainer.datasets.layouts.listing import Listing
from trainer.datasets.layouts.source_request import SourceFormat, SourceRequest

CLASSES = frozenset(
    {
        "actinic keratosis",
        "basal cell carcinoma",
        "dermatofibroma",
        "melanoma",
        "nevus",
        "pigmented benign keratosis",
        "seborrheic keratosis",
        "squamous cell carcinoma",
        "vascular lesion",
    }
)


def recognises(source: Path) -> bool:
    """Whether split folders hold folders named as the nine diagnoses."""
    return source.is_dir() and holds_classes(source, CLASSES)


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    return read_class_folders(source, SourceFormat.ISIC)
