"""Views of a dataset: other labels, a part of the training pictures, and what varies together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from dermpack.dataset.blank_cells import is_missing
from dermpack.dataset.manifest import Dataset, Manifest, Picture, Split, manifest_text
from dermpack.errors import DatasetError
from dermpack.storage.files import sha256_of

LABEL_OPTION = "label"  # in the options of a dataset: the column that its labels come from
IMPORTED_LABEL = "imported label"  # the column that keeps the labels of the import
LEARNING_SPLITS = (Split.TRAIN, Split.VALIDATION)


def label_by_column(dataset: Dataset, column: str) -> Dataset:
    """Return the dataset with the values of a column as labels; the folder is not changed.

    Pictures without a value are left out, and so are values that no training or no validation picture has: a
    network could not learn them, or no epoch could be chosen by them. The column is replaced by the labels of
    the import. The SHA-256 is that of the new manifest, so that a model is compared with the right labels.
    Without a column, or if the dataset is labelled by it already, it is returned unchanged.
    """
    if not column or dataset.options.get(LABEL_OPTION) == column:
        return dataset
    index = find_column(dataset, column)
    cells = [cell.strip() for cell in dataset.manifest.column(column)]
    pairs = list(zip(dataset.pictures, cells, strict=True))
    needed = [split for split in LEARNING_SPLITS if dataset.manifest.of(split)] or [Split.TEST]
    values = [
        {cell for picture, cell in pairs if picture.split is split and not is_missing(cell)}
        for split in needed
    ]
    classes = tuple(sorted(set.intersection(*values)))
    if len(classes) < 2:
        what = f"the column {column!r} has fewer than two values with training and validation pictures"
        raise DatasetError(dataset.folder, what, "Choose another column.", code="single-class")
    pictures = tuple(
        replace(picture, label=cell, metadata=_replace(picture.metadata, index, picture.label))
        for picture, cell in pairs
        if cell in classes
    )
    manifest = Manifest(
        pictures=pictures, columns=columns_with_imported_label(dataset.manifest.columns, index)
    )
    return replace(
        dataset,
        classes=classes,
        manifest=manifest,
        meanings={},  # they are about the labels of the import
        options={**dataset.options, LABEL_OPTION: column},
        sha256=sha256_of(manifest_text(manifest).encode("utf-8")),
    )


def match_labels(dataset: Dataset, sha256: str) -> Dataset:
    """Return the dataset labelled as the one with this SHA-256, which a model was trained on.

    It is the dataset itself, or the dataset labelled by one of its columns. If neither has the SHA-256, the
    model was trained on another dataset, and this one is returned unchanged.
    """
    if sha256 and sha256 != dataset.sha256:
        for column in dataset.manifest.columns:
            try:
                labelled = label_by_column(dataset, column)
            except DatasetError:  # a column that cannot be learned
                continue
            if labelled.sha256 == sha256:
                return labelled
    return dataset


def reduce_training(dataset: Dataset, share: float, *, seed: int) -> Dataset:
    """Return the dataset with this share of the training pictures of each label, as whole groups.

    It keeps its SHA-256: the other splits are those of the whole. The groups have a random order that the
    seed decides, and each label takes groups from its beginning, whatever the others take. So a smaller share
    is a part of a larger one, and a group of several labels can add more pictures than the share of one.
    """
    if share >= 1:
        return dataset
    training = dataset.manifest.of(Split.TRAIN)
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in training:
        groups[picture.group or picture.path].append(picture)
    totals = Counter(picture.label for picture in training)
    passed = Counter[str]()  # pictures of the groups before
    chosen = set[str]()
    for name in sorted(groups, key=lambda name: sha256_of(f"{seed}/{name}".encode())):
        labels = Counter(picture.label for picture in groups[name])
        if any(passed[label] < share * totals[label] for label in labels):
            chosen |= {picture.path for picture in groups[name]}
        passed += labels
    pictures = tuple(
        picture for picture in dataset.pictures if picture.split is not Split.TRAIN or picture.path in chosen
    )
    return replace(dataset, manifest=replace(dataset.manifest, pictures=pictures))


def name_joined_groups(pictures: Sequence[Picture]) -> tuple[str, ...]:
    """Return for each picture the name of its group, where duplicates join groups; empty if it is in none.

    Pictures of one patient or lesion, and duplicates, vary together: an interval draws them as one. A joined
    group has the smallest name of its groups, or of its pictures without a group.
    """
    own = [picture.group or picture.path for picture in pictures]
    root_of = {name: name for name in own}

    def find(name: str) -> str:
        while root_of[name] != name:
            name = root_of[name]
        return name

    first_of: dict[str, str] = {}
    for picture, name in zip(pictures, own, strict=True):
        if picture.cluster:
            low, high = sorted((find(name), find(first_of.setdefault(picture.cluster, name))))
            root_of[high] = low
    return tuple(
        find(name) if picture.group or picture.cluster else ""
        for picture, name in zip(pictures, own, strict=True)
    )


def columns_with_imported_label(columns: Sequence[str], index: int) -> tuple[str, ...]:
    """Return the columns with that of the imported labels at this position, under an unused name."""
    others = _replace(columns, index, "")
    names = (IMPORTED_LABEL if number == 1 else f"{IMPORTED_LABEL} {number}" for number in count(1))
    return _replace(columns, index, next(name for name in names if name not in others))


def find_column(dataset: Dataset, column: str) -> int:
    """Return the position of a metadata column, or raise DatasetError with those that exist."""
    known = dataset.manifest.columns
    if column not in known:
        hint = "Omit the option: the dataset has no columns."
        if known:
            hint = f"Choose one of its columns: {', '.join(known)}."
        raise DatasetError(dataset.folder, f"there is no column {column!r}", hint, code="unknown-column")
    return known.index(column)


def _replace(cells: Sequence[str], index: int, cell: str) -> tuple[str, ...]:
    return (*cells[:index], cell, *cells[index + 1 :])
