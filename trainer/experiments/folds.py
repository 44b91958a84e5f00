"""Part the pictures of a dataset into folds: by label, and nothing that belongs together is parted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dermpack.dataset.manifest import Dataset, Manifest, Picture, Split, manifest_text, relative_root
from dermpack.storage.files import sha256_of
from trainer.datasets.duplicates.disjoint_sets import Unions
from trainer.datasets.splits.split import Member, split
from trainer.datasets.splits.split_shares import DEFAULT_SHARES, Shares

FEWEST, MOST = 2, 20


def fold_datasets(dataset: Dataset, *, folds: int, seed: int, folder: Path) -> tuple[Dataset, ...]:
    """A dataset a fold, to be written below the folder: what is held out is its test split.

    The folds part the train and validation splits; the test split stays out of all of them. Of what is not
    held out, as large a share validates as in the dataset itself.
    """
    pictures = [picture for picture in dataset.pictures if picture.split is not Split.TEST]
    members = members_of(pictures)
    numbers = folds_of(members, folds=folds, seed=seed)
    shares = _shares(dataset)
    return tuple(
        _dataset(
            dataset,
            _arranged(pictures, members, [number == fold for number in numbers], shares=shares, seed=seed),
            folder=folder / f"fold-{fold + 1}",
            options={"folds": str(folds), "fold": str(fold + 1), "seed": str(seed)},
        )
        for fold in range(folds)
    )


def members_of(pictures: Sequence[Picture]) -> tuple[Member, ...]:
    """A unit is what hangs together by groups and near-duplicate clusters."""
    unions = Unions(len(pictures))
    unions.join_equal([picture.group or None for picture in pictures])
    unions.join_equal([picture.cluster or None for picture in pictures])
    pairs = zip(pictures, unions.roots(), strict=True)
    return tuple(Member(path=of.path, label=of.label, unit=unit) for of, unit in pairs)


def folds_of(members: Sequence[Member], *, folds: int, seed: int) -> tuple[int, ...]:
    """The fold of each member, from 0: one after the other is split off what is left."""
    found, left = [folds - 1] * len(members), list(range(len(members)))
    for fold in range(folds - 1):
        shares = Shares(train=folds - 1 - fold, validation=0, test=1)
        splits = split([members[at] for at in left], shares=shares, seed=seed + fold)
        for at, chosen in zip(left, splits, strict=True):
            if chosen is Split.TEST:
                found[at] = fold
        left = [at for at, chosen in zip(left, splits, strict=True) if chosen is Split.TRAIN]
    return tuple(found)


def _shares(dataset: Dataset) -> Shares:
    train, validation = (len(dataset.manifest.of(split)) for split in (Split.TRAIN, Split.VALIDATION))
    return (
        Shares(train=train, validation=validation, test=0)
        if validation
        else DEFAULT_SHARES.without(Split.TEST)
    )


def _arranged(
    pictures: Sequence[Picture],
    members: Sequence[Member],
    is_held_out: Sequence[bool],
    *,
    shares: Shares,
    seed: int,
) -> tuple[Picture, ...]:
    seen = [member for member, out in zip(members, is_held_out, strict=True) if not out]
    chosen = iter(split(seen, shares=shares, seed=seed))
    splits = (Split.TEST if out else next(chosen) for out in is_held_out)
    return tuple(replace(picture, split=of) for picture, of in zip(pictures, splits, strict=True))


def _dataset(
    dataset: Dataset, pictures: tuple[Picture, ...], *, folder: Path, options: dict[str, str]
) -> Dataset:
    manifest = Manifest(pictures=pictures, columns=dataset.manifest.columns)
    return replace(
        dataset,
        folder=folder,
        root=relative_root(dataset.pictures_folder, folder),
        manifest=manifest,
        options={**dataset.options, **options},
        refused=(),
        notes=(),
        sha256=sha256_of(manifest_text(manifest).encode("utf-8")),
    )
