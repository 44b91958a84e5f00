"""Arrange the pictures of an import: join groups, leave out contradictions, form clusters, assign splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum

from dermpack.dataset.manifest import Finding, Picture, Split
from dermpack.errors import InputError
from trainer.datasets.duplicates.search import DuplicateSets, find_contradictions, select_clusters
from trainer.datasets.examine import ExaminedPicture
from trainer.datasets.findings import ImportOutcome, create_finding
from trainer.datasets.layouts.listing import ListedPicture, Listing
from trainer.datasets.splits.split import (
    DEFAULT_SHARES,
    Member,
    Shares,
    assign_splits,
    find_unit_leaks,
    join_equal,
    keep_given_splits,
    members_by_root,
)


class SplitPolicy(Enum):
    """What to do with the splits that a source gives."""

    AS_GIVEN = "as given"  # keep them, if there are any
    MENDED = "mended"  # keep them, and leave out training pictures that leak
    NEW = "new"


def join_groups(listing: Listing, *, column: str) -> Listing:
    """Return the listing with groups that join those of the source and those of the column."""
    if not column or column.casefold() == listing.group_column.casefold():
        return listing
    columns = [name.casefold() for name in listing.columns]
    if column.casefold() not in columns:
        hint = "Omit the option, or import a CSV file with the columns picture, label and group."
        if listing.columns:
            hint = f"Choose one of the columns {', '.join(listing.columns)}."
        what = "not a column of the source"
        raise InputError(f"--group {column}", what, hint, code="unknown-column")
    index = columns.index(column.casefold())
    cells = [picture.metadata[index] if picture.metadata else "" for picture in listing.pictures]
    names = join_group_names([picture.group for picture in listing.pictures], cells)
    # The column becomes the group, so it is removed from the metadata.
    pictures = [
        replace(picture, group=name, metadata=(*picture.metadata[:index], *picture.metadata[index + 1 :]))
        for picture, name in zip(listing.pictures, names, strict=True)
    ]
    other_columns = (*listing.columns[:index], *listing.columns[index + 1 :])
    return replace(listing, pictures=tuple(pictures), columns=other_columns)


def join_group_names(source_groups: Sequence[str], column_groups: Sequence[str]) -> list[str]:
    """Return a group for each picture: ["l1", "l1", ""] and ["p1", "p2", "p2"] → ["p1", "p1", "p1"]."""
    used, names = set(column_groups) - {""}, [""] * len(source_groups)
    for members in members_by_root(join_equal(source_groups, column_groups)).values():
        name = min({column_groups[index] for index in members} - {""}, default="")
        if not name:
            name = max(source_groups[index] for index in members)
            if name in used:  # a group of the source has the same name as one of the column
                name = f"{name} (of the source)"
        for index in members:
            names[index] = name
    return names


def arrange_pictures(
    listed: Sequence[ListedPicture],
    examined: Sequence[ExaminedPicture],
    duplicates: DuplicateSets,
    *,
    policy: SplitPolicy,
    shares: Shares | None,
    seed: int,
) -> tuple[tuple[Picture, ...], tuple[Finding, ...], tuple[Finding, ...]]:
    """Return the rows of the manifest, the pictures that are left out, and notes on the others.

    All three are in path order.
    """
    # 1. Leave out pixel-identical pictures under different labels.
    labels = [each.label for each in listed]
    contradictions: dict[int, Finding] = {}
    for index, different in sorted(find_contradictions(duplicates.exact, labels).items()):
        detail = f"the same picture has the labels {different}"
        contradictions[index] = create_finding(ImportOutcome.CONTRADICTION, listed[index].path, detail)
    staying = [index for index in range(len(listed)) if index not in contradictions]
    # 2. Assign splits to units, which are joined by groups and clusters.
    cluster_names = _name_sets("c", duplicates.near, staying)
    units = join_equal(
        [listed[index].group for index in staying], [cluster_names.get(index) for index in staying]
    )
    members = tuple(
        Member(path=listed[index].path, label=listed[index].label, unit=unit)
        for index, unit in zip(staying, units, strict=True)
    )
    given = [listed[index].split for index in staying]
    if policy is SplitPolicy.NEW or not any(given):
        splits = assign_splits(members, shares=shares or DEFAULT_SHARES, seed=seed)
    else:
        splits = keep_given_splits(members, given, shares=shares or DEFAULT_SHARES, seed=seed)
    # 3. Leave out leaking pictures if requested, or report them.
    split_of = dict(zip(staying, splits, strict=True))
    leaks: dict[int, Finding] = {}
    for row, split in find_unit_leaks(units, splits).items():
        detail = f"is in {splits[row].value}, its group or cluster also in {split.value}"
        leaks[staying[row]] = create_finding(ImportOutcome.LEAK, members[row].path, detail)
    left_out, noted = (leaks, {}) if policy is SplitPolicy.MENDED else ({}, leaks)
    remaining = [index for index in staying if index not in left_out]
    pictures = _describe_pictures(
        listed, examined, duplicates, {index: split_of[index] for index in remaining}
    )
    notes = [*_note_duplicates(listed, duplicates, remaining), *noted.values()]
    notes += _note_missing_classes(members, splits)
    # Shares only cut the splits that the source does not give.
    if (
        shares
        and policy is not SplitPolicy.NEW
        and {Split.VALIDATION, Split.TEST} <= {e.split for e in listed}
    ):
        detail = "the source gives validation and test, which are kept; add --new-splits to split anew"
        detail = f"--split {shares} cut nothing: {detail}"
        notes.append(create_finding(ImportOutcome.UNUSED_SHARES, "", detail))
    return pictures, (*contradictions.values(), *left_out.values()), tuple(notes)


def _describe_pictures(
    listed: Sequence[ListedPicture],
    examined: Sequence[ExaminedPicture],
    duplicates: DuplicateSets,
    split_of: Mapping[int, Split],
) -> tuple[Picture, ...]:
    """Return the rows of the manifest for the pictures that have a split."""
    # Pictures that were left out may have dissolved clusters, so these names are not those of the units.
    cluster_names = _name_sets("c", duplicates.near, list(split_of))
    photograph_names = _name_sets("p", duplicates.photographs, list(split_of))
    return tuple(
        Picture(
            path=listed[index].path,
            sha256=examined[index].sha256,
            width=examined[index].width,
            height=examined[index].height,
            label=listed[index].label,
            split=split,
            group=listed[index].group or listed[index].path,  # without a group: a group of its own
            cluster=cluster_names.get(index, ""),
            photograph=photograph_names.get(index, ""),
            metadata=listed[index].metadata,
        )
        for index, split in split_of.items()
    )


def _name_sets(prefix: str, roots: Sequence[int], present: Sequence[int]) -> dict[int, str]:
    """Return picture → set: c0001 and so on, in the order of their first paths."""
    sets = enumerate(_select_present(roots, present), start=1)
    return {index: f"{prefix}{number:04d}" for number, members in sets for index in members}


def _select_present(roots: Sequence[int], present: Sequence[int]) -> list[list[int]]:
    """Return the sets of related pictures among the present ones, without single pictures."""
    is_present = set(present)
    clusters = [
        [index for index in members if index in is_present] for members in select_clusters(roots).values()
    ]
    return [members for members in clusters if len(members) > 1]


def _note_duplicates(
    listed: Sequence[ListedPicture], duplicates: DuplicateSets, remaining: Sequence[int]
) -> Iterator[Finding]:
    """Yield a finding for each picture that repeats an earlier one."""
    exact, photographs = duplicates.exact, duplicates.photographs
    for members in _select_present(duplicates.near, remaining):
        first_of_exact: dict[int, int] = {}
        first_of_photograph: dict[int, int] = {}
        for index in members:
            # Compared with the first picture among the earlier ones that are related most closely.
            photograph = first_of_photograph.setdefault(photographs[index], index)
            first = first_of_exact.setdefault(exact[index], index)
            if first != index:
                kind = ImportOutcome.IDENTICAL
            elif photograph != index:
                first, kind = photograph, ImportOutcome.NEAR
            elif index != members[0]:
                first, kind = members[0], ImportOutcome.SAME_SCENE
            else:
                continue
            suffix = ", in another photograph" if kind is ImportOutcome.SAME_SCENE else ""
            if listed[index].label != listed[first].label:
                kind = ImportOutcome.NEAR_OTHER_LABEL
            detail = f"shows what {listed[first].path} shows{suffix}"
            yield create_finding(kind, listed[index].path, detail)


def _note_missing_classes(members: Sequence[Member], splits: Sequence[Split]) -> Iterator[Finding]:
    """Yield a finding for each class that is missing in a split with pictures."""
    counts = Counter((member.label, split) for member, split in zip(members, splits, strict=True))
    used_splits = [split for split in Split if split in splits]
    for label in sorted({member.label for member in members}):
        missing = [split.value for split in used_splits if not counts[label, split]]
        if missing:
            detail = f"{label} has no picture in {' and '.join(missing)}"
            yield create_finding(ImportOutcome.MISSING_CLASS, "", detail)
