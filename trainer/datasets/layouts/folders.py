"""Read class folders, with or without split folders above them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from dermpack.dataset.manifest import Finding, Split
from dermpack.errors import InputError
from dermpack.progress import Track
from trainer.datasets.layouts.listing import ListedPicture, Listing
from trainer.datasets.layouts.omission import OmissionReason, refused
from trainer.datasets.layouts.source_request import SourceFormat, SourceRequest
from trainer.datasets.layouts.source_walk import SourceFiles, entries_of, is_plain_name, walk
from trainer.datasets.layouts.split_names import split_named

SHAPE = "SOURCE/<class>/*.jpg, or SOURCE/train/<class>/*.jpg with SOURCE/valid and SOURCE/test"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFolder:
    """One folder named as a class: "train/Eczema Photos" has the split TRAIN."""

    path: str
    label: str
    split: Split | None


def recognises(source: Path) -> bool:
    """Whether any folder of the source holds a picture."""
    return source.is_dir() and any("/" in path for path in walk(source).pictures)


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    return read_class_folders(source, SourceFormat.FOLDERS)


def read_class_folders(source: Path, layout: SourceFormat) -> Listing:
    """One picture each file below a class folder; whatever stands outside one is refused."""
    root = unwrapped(source)
    walked = walk(root)
    classes = {folder.path: folder for folder in class_folders(root, walked)}
    depth = 2 if any(folder.split for folder in classes.values()) else 1
    found, findings = [], list(walked.refused)
    for path in walked.pictures:
        folder = classes.get("/".join(path.split("/")[:depth]))
        if folder is None:
            findings.append(refused(OmissionReason.NO_CLASS, path, "lies in no class folder"))
        else:
            found.append(ListedPicture(path=path, label=folder.label, split=folder.split))
    findings += _others(walked, classes, depth)
    findings += _empty_classes(classes.values(), found, depth)
    return Listing(root=root, format=layout.value, pictures=tuple(found), refused=tuple(findings))


def class_folders(source: Path, walked: SourceFiles) -> tuple[ClassFolder, ...]:
    """The folders that name classes: those below split folders, or the top ones."""
    tops = [path for path in walked.folders if "/" not in path]
    splits = {top: split_named(top) for top in tops}
    if not _are_split_folders(source, splits, walked):
        return tuple(ClassFolder(path=top, label=top.strip(), split=None) for top in tops if top.strip())
    below = [path.split("/") for path in walked.folders if path.count("/") == 1]
    return tuple(
        ClassFolder(path=f"{top}/{name}", label=name.strip(), split=splits[top])
        for top, name in below
        if splits[top] is not None and name.strip()
    )


def unwrapped(source: Path) -> Path:
    """The folder that holds the split folders: archives often unpack into one folder more."""
    tops = _visible_folders(source)
    if len(tops) != 1 or split_named(tops[0]):
        return source
    inner = _visible_folders(source / tops[0])
    return source / tops[0] if inner and all(split_named(name) for name in inner) else source


def _visible_folders(folder: Path) -> list[str]:
    folders = [entry.name for entry in entries_of(folder) if entry.is_dir(follow_symlinks=False)]
    return [name for name in folders if not name.startswith(".") and is_plain_name(name)]


def _are_split_folders(source: Path, splits: dict[str, Split | None], walked: SourceFiles) -> bool:
    """Whether the top folders are splits; an error where only some of them can be."""
    holding = {path.partition("/")[0] for path in walked.pictures if "/" in path}
    deep = {path.partition("/")[0] for path in walked.pictures if path.count("/") > 1}
    named = [top for top in splits if splits[top] and top in deep]
    if not named:
        return False
    others = sorted(top for top in holding if not splits[top])
    if others:
        what = f"both split folders ({named[0]}) and class folders ({others[0]}) found"
        hint = f"Move one kind elsewhere. Expected: {SHAPE}."
        raise InputError(source, what, hint, code="invalid-split-folders")
    _refuse_two_of_a_split(source, {top: split for top, split in splits.items() if split and top in holding})
    return True


def _refuse_two_of_a_split(source: Path, splits: dict[str, Split]) -> None:
    for split, count in Counter(splits.values()).items():
        if count > 1:
            names = " and ".join(sorted(top for top in splits if splits[top] is split))
            what = f"several folders for the {split.value} split: {names}"
            raise InputError(source, what, "Keep one of them.", code="invalid-split-folders")


def _others(walked: SourceFiles, classes: Collection[str], depth: int) -> Iterable[Finding]:
    """What lies among the pictures of a class and is none."""
    for path in walked.others:
        if "/".join(path.split("/")[:depth]) in classes:
            yield refused(OmissionReason.OTHER, path, "is no picture by its name")


def _empty_classes(
    folders: Iterable[ClassFolder], found: Iterable[ListedPicture], depth: int
) -> Iterable[Finding]:
    filled = {"/".join(picture.path.split("/")[:depth]) for picture in found}
    for folder in folders:
        if folder.path not in filled:
            yield refused(OmissionReason.EMPTY_CLASS, folder.path, "holds no picture")
