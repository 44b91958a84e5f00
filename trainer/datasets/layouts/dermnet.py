"""Read DermNet as Kaggle gives it: train/ and test/ with 23 folders such as "Eczema Photos"."""

from __future__ import annotations

from pathlib import Path

from dermpack.progress import Track
from trainer.datasets.layouts.folders import class_folders, read_class_folders, unwrapped
from trainer.datasets.layouts.listing import Listing
from trainer.datasets.layouts.source_request import SourceFormat, SourceRequest
from trainer.datasets.layouts.source_walk import walk

LEAST_FOLDERS = 2  # a part of the download is still recognised
CLASSES = frozenset(
    name.casefold()
    for name in (
        "Acne and Rosacea Photos",
        "Actinic Keratosis Basal Cell Carcinoma and other Malignant Lesions",
        "Atopic Dermatitis Photos",
        "Bullous Disease Photos",
        "Cellulitis Impetigo and other Bacterial Infections",
        "Eczema Photos",
        "Exanthems and Drug Eruptions",
        "Hair Loss Photos Alopecia and other Hair Diseases",
        "Herpes HPV and other STDs Photos",
        "Light Diseases and Disorders of Pigmentation",
        "Lupus and other Connective Tissue diseases",
        "Melanoma Skin Cancer Nevi and Moles",
        "Nail Fungus and other Nail Disease",
        "Poison Ivy Photos and other Contact Dermatitis",
        "Psoriasis pictures Lichen Planus and related diseases",
        "Scabies Lyme Disease and other Infestations and Bites",
        "Seborrheic Keratoses and other Benign Tumors",
        "Systemic Disease",
        "Tinea Ringworm Candidiasis and other Fungal Infections",
        "Urticaria Hives",
        "Vascular Tumors",
        "Vasculitis Photos",
        "Warts Molluscum and other Viral Infections",
    )
)


def recognises(source: Path) -> bool:
    """Whether split folders hold folders named as DermNet names them."""
    return source.is_dir() and holds_classes(source, CLASSES)


def holds_classes(source: Path, names: frozenset[str]) -> bool:
    """Whether at least LEAST_FOLDERS of the names stand below split folders."""
    root = unwrapped(source)
    folders = class_folders(root, walk(root))
    here = {folder.label.casefold() for folder in folders if folder.split is not None}
    return len(here & names) >= LEAST_FOLDERS


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    return read_class_folders(source, SourceFormat.DERMNET)
