"""Divide a dataset into folds for cross-validation: stratified by label, with related pictures together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dermpack.dataset.manifest import Dataset, Manifest, Picture, Split, manifest_text, relative_root
from dermpack.storage.files import sha256_of
from trainer.datasets.duplicates.disjoint_sets import DisjointSets
from trainer.datasets.splits.split import DEFAULT_SHARES, Member, Shares, assign_splits


def fold_datasets(dataset: Dataset, *, folds: int, seed: int, folder: Path) -> tuple[Dataset, ...]:
    """Return one dataset for each fold, to be written below the folder; the fold is its test split.

    The train and validation splits are divided into folds, and the test split is not used. The pictures
    outside the fold are divided into train and validation with the shares of the dataset.
    """
    pictures = [picture for picture in dataset.pictures if picture.split is not Split.TEST]
    members = split_members(pictures)
    fold_of = assign_folds(members, folds=folds, seed=seed)
    train, validation = (len(dataset.manifest.of(each)) for each in (Split.TRAIN, Split.VALIDATION))
    shares = Shares(train=train, validation=validation, test=0)
    if not validation:
        # Training selects its best epoch on a validation split, so the folds need one in any case.
        shares = DEFAULT_SHARES.without(Split.TEST)
    made = []
    for fold in range(folds):
        is_held_out = [number == fold for number in fold_of]
        seen = [member for member, out in zip(members, is_held_out, strict=True) if not out]
        chosen = iter(assign_splits(seen, shares=shares, seed=seed))
        # The splits of the other members come in their order, and are merged with the pictures held out.
        splits = (Split.TEST if out else next(chosen) for out in is_held_out)
        arranged = tuple(
            replace(picture, split=new_split) for picture, new_split in zip(pictures, splits, strict=True)
        )
        options = {"folds": str(folds), "fold": str(fold + 1), "seed": str(seed)}
        # The fold has its own folder and manifest, but refers to the pictures of the original dataset.
        manifest = Manifest(pictures=arranged, columns=dataset.manifest.columns)
        fold_folder = folder / f"fold-{fold + 1}"
        made.append(
            replace(
                dataset,
                folder=fold_folder,
                root=relative_root(dataset.pictures_folder, fold_folder),
                manifest=manifest,
                options={**dataset.options, **options},
                refused=(),
                notes=(),
                sha256=sha256_of(manifest_text(manifest).encode("utf-8")),
            )
        )
    return tuple(made)


def split_members(pictures: Sequence[Picture]) -> tuple[Member, ...]:
    """Return the pictures with the unit that must stay together: linked by groups and duplicate clusters."""
    unions = DisjointSets(len(pictures))
    unions.join_equal([picture.group or None for picture in pictures])
    unions.join_equal([picture.cluster or None for picture in pictures])
    pairs = zip(pictures, unions.roots(), strict=True)
    return tuple(Member(path=picture.path, label=picture.label, unit=unit) for picture, unit in pairs)


def assign_folds(members: Sequence[Member], *, folds: int, seed: int) -> tuple[int, ...]:
    """Return the fold of each member, from 0.

    One fold after the other is split off from the members that are left, as a test split of 1/n of them:
    this reuses the stratified split, which keeps units together.
    """
    # The last fold consists of the members that no other fold takes.
    fold_of, left = [folds - 1] * len(members), list(range(len(members)))
    for fold in range(folds - 1):
        shares = Shares(train=folds - 1 - fold, validation=0, test=1)
        splits = assign_splits([members[index] for index in left], shares=shares, seed=seed + fold)
        for index, chosen in zip(left, splits, strict=True):
            if chosen is Split.TEST:
                fold_of[index] = fold
        left = [index for index, chosen in zip(left, splits, strict=True) if chosen is Split.TRAIN]
    return tuple(fold_of)
