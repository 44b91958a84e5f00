"""Read class folders, with or without split folders above them; DermNet and ISIC are such downloads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from dermpack.dataset.manifest import Split
from dermpack.errors import InputError
from dermpack.progress import Track
from trainer.datasets.findings import OmissionReason, create_finding
from trainer.datasets.layouts.listing import ListedPicture, Listing, SourceRequest, parse_split
from trainer.datasets.layouts.source_walk import SourceFiles, is_valid_name, list_entries, walk_source

SHAPE = "SOURCE/<class>/*.jpg, or SOURCE/train/<class>/*.jpg with SOURCE/valid and SOURCE/test"
MIN_KNOWN_CLASSES = 2  # a part of a published download is still recognised
DERMNET_CLASSES = (
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
ISIC_CLASSES = (
    "actinic keratosis",
    "basal cell carcinoma",
    "dermatofibroma",
    "melanoma",
    "nevus",
    "pigmented benign keratosis",
    "seborrheic keratosis",
    "squamous cell carcinoma",
    "vascular lesion",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLayout:
    """Class folders; a published download is recognised by its `known_classes` below split folders."""

    known_classes: tuple[str, ...] = ()

    def recognises(self, source: Path) -> bool:
        """Return whether any folder of the source contains a picture, or the known classes."""
        if not source.is_dir():
            return False
        if not self.known_classes:
            return any("/" in path for path in walk_source(source).pictures)
        root = _unwrap(source)
        folders = _find_class_folders(root, walk_source(root)).values()
        names = {label.casefold() for label, split in folders if split is not None}
        return len(names & {name.casefold() for name in self.known_classes}) >= MIN_KNOWN_CLASSES

    def read(self, source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG002 - a Layout
        """Return a picture for each file below a class folder; pictures outside of one are refused."""
        root = _unwrap(source)
        files = walk_source(root)
        class_folders = _find_class_folders(root, files)
        depth = 2 if any(split for _, split in class_folders.values()) else 1
        listed, findings, empty = [], list(files.refused), dict.fromkeys(class_folders)
        for path in files.pictures:
            folder = _class_path(path, depth)
            if folder in class_folders:
                label, split = class_folders[folder]
                listed.append(ListedPicture(path=path, label=label, split=split))
                empty.pop(folder, None)
            else:
                findings.append(create_finding(OmissionReason.NO_CLASS, path, "lies in no class folder"))
        for path in files.others:
            if _class_path(path, depth) in class_folders:
                findings.append(create_finding(OmissionReason.OTHER, path, "is no picture by its name"))
        for path in empty:
            findings.append(create_finding(OmissionReason.EMPTY_CLASS, path, "holds no picture"))
        return Listing(root=root, pictures=tuple(listed), refused=tuple(findings))


FOLDERS = FolderLayout()
DERMNET = FolderLayout(known_classes=DERMNET_CLASSES)  # as on Kaggle
ISIC = FolderLayout(known_classes=ISIC_CLASSES)  # nine classes, as on Kaggle


def _unwrap(source: Path) -> Path:
    """Return the folder that contains the split folders: archives often unpack into one folder more."""
    tops = _list_visible_folders(source)
    # A single top folder is unwrapped only if it contains nothing but split folders.
    if len(tops) != 1 or parse_split(tops[0]):
        return source
    inner = _list_visible_folders(source / tops[0])
    return source / tops[0] if inner and all(parse_split(name) for name in inner) else source


def _list_visible_folders(folder: Path) -> list[str]:
    names = [entry.name for entry in list_entries(folder) if entry.is_dir(follow_symlinks=False)]
    return [name for name in names if not name.startswith(".") and is_valid_name(name)]


def _find_class_folders(source: Path, files: SourceFiles) -> dict[str, tuple[str, Split | None]]:
    """Return folder → label and split: the folders below split folders, or else the top ones."""
    split_of_top = {path: parse_split(path) for path in files.folders if "/" not in path}
    if not _has_split_folders(split_of_top, files, source):
        return {top: (top.strip(), None) for top in split_of_top if top.strip()}
    second_level = [path.split("/") for path in files.folders if path.count("/") == 1]
    return {
        f"{top}/{name}": (name.strip(), split_of_top[top])
        for top, name in second_level
        if split_of_top[top] is not None and name.strip()
    }


def _has_split_folders(split_of_top: dict[str, Split | None], files: SourceFiles, source: Path) -> bool:
    """Return whether the top folders are splits, or raise InputError if only some of them can be."""
    filled = {path.partition("/")[0] for path in files.pictures if "/" in path}
    # A folder "test" with pictures but without class folders below it is a class called "test".
    nested = {path.partition("/")[0] for path in files.pictures if path.count("/") > 1}
    split_folders = [top for top in split_of_top if split_of_top[top] and top in nested]
    if not split_folders:
        return False
    others = sorted(top for top in filled if not split_of_top[top])
    if others:
        what = f"both split folders ({split_folders[0]}) and class folders ({others[0]}) found"
        hint = f"Move one kind elsewhere. Expected: {SHAPE}."
        raise InputError(source, what, hint, code="invalid-split-folders")
    # Two folders for one split, for example "val" and "valid".
    used = {top: split for top, split in split_of_top.items() if split and top in filled}
    for split, count in Counter(used.values()).items():
        if count > 1:
            names = " and ".join(sorted(top for top in used if used[top] is split))
            what = f"several folders for the {split.value} split: {names}"
            raise InputError(source, what, "Keep one of them.", code="invalid-split-folders")
    return True


def _class_path(path: str, depth: int) -> str:
    """Return the class folder of a file: "train/eczema/2019/1.jpg" at depth 2 → "train/eczema"."""
    return "/".join(path.split("/")[:depth])
