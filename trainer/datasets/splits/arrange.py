"""Arrange the pictures of an import: join groups, leave out contradictions, form clusters, assign splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dermpack.dataset.manifest import Finding, Picture, Split
from dermpack.errors import InputError
from dermpack.progress import Track, silent
from trainer.datasets.duplicates.disjoint_sets import DisjointSets, members_by_root
from trainer.datasets.duplicates.find_duplicates import DuplicateSets, find_duplicates, select_clusters
from trainer.datasets.examine import ExaminedPicture
from trainer.datasets.findings import ImportOutcome, create_finding
from trainer.datasets.import_request import ImportRequest, SplitPolicy
from trainer.datasets.layouts.listing import ListedPicture, Listing
from trainer.datasets.splits.given_splits import GivenSplits, keep_given_splits
from trainer.datasets.splits.split import DEFAULT_SHARES, Member, assign_splits


@dataclass(frozen=True, slots=True, kw_only=True)
class UsablePicture:
    """A usable picture: its row in the listing, and what decoding it yields."""

    listed: ListedPicture
    examined: ExaminedPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrangedPictures:
    """The rows of the manifest, the pictures that were left out, and notes on the others."""

    pictures: tuple[Picture, ...]
    refused: tuple[Finding, ...]
    notes: tuple[Finding, ...]


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
    sets = DisjointSets(len(source_groups))
    sets.join_equal([name or None for name in source_groups])
    sets.join_equal([name or None for name in column_groups])
    used, names = set(column_groups) - {""}, [""] * len(source_groups)
    for members in members_by_root(sets.roots()).values():
        own_names = {column_groups[index] for index in members} - {""}
        if own_names:
            name = min(own_names)
        else:
            name = max(source_groups[index] for index in members)
            if name in used:  # a group of the source that is spelled like another one of the column
                name = f"{name} (of the source)"
        for index in members:
            names[index] = name
    return names


def arrange_pictures(
    candidates: Sequence[UsablePicture], request: ImportRequest, *, track: Track = silent
) -> ArrangedPictures:
    """Return the pictures with their clusters and splits; candidates and pictures are in path order."""
    duplicates = find_duplicates([each.examined.signature for each in candidates], track=track)
    # 1. Leave out pixel-identical pictures under different labels.
    contradictions = _find_contradictions(candidates, duplicates)
    staying = [index for index in range(len(candidates)) if index not in contradictions]
    # 2. Assign splits to units, which are joined by groups and clusters.
    cluster_names = _name_clusters(duplicates, staying)
    sets = DisjointSets(len(staying))
    sets.join_equal([candidates[index].listed.group or None for index in staying])
    sets.join_equal([cluster_names.get(index) for index in staying])
    members = tuple(
        Member(path=candidates[index].listed.path, label=candidates[index].listed.label, unit=unit)
        for index, unit in zip(staying, sets.roots(), strict=True)
    )
    given = [candidates[index].listed.split for index in staying]
    shares = request.shares or DEFAULT_SHARES
    if request.splits is SplitPolicy.NEW or not any(given):
        result = GivenSplits(splits=assign_splits(members, shares=shares, seed=request.seed), leaks={})
    else:
        result = keep_given_splits(members, given, shares=shares, seed=request.seed)
    # 3. Leave out leaking pictures if requested, or report them. A row is an index of `staying`.
    leaks = [
        create_finding(
            ImportOutcome.LEAK,
            members[row].path,
            f"is in {result.splits[row].value}, its group or cluster also in {split.value}",
        )
        for row, split in sorted(result.leaks.items())
    ]
    is_mended = request.splits is SplitPolicy.MENDED
    remaining_rows = [row for row in range(len(staying)) if not is_mended or row not in result.leaks]
    remaining = [staying[row] for row in remaining_rows]
    # 4. Name the clusters again, because leaving pictures out may have dissolved some.
    cluster_names = _name_clusters(duplicates, remaining)
    pictures = []
    for row, index in zip(remaining_rows, remaining, strict=True):
        listed, examined = candidates[index].listed, candidates[index].examined
        pictures.append(
            Picture(
                path=listed.path,
                sha256=examined.sha256,
                width=examined.width,
                height=examined.height,
                label=listed.label,
                split=result.splits[row],
                group=listed.group or listed.path,  # a picture without a group is a group of its own
                cluster=cluster_names.get(index, ""),
                metadata=listed.metadata,
            )
        )
    return ArrangedPictures(
        pictures=tuple(pictures),
        refused=(*contradictions.values(), *(leaks if is_mended else ())),
        notes=(
            *_note_duplicates(candidates, duplicates, remaining),
            *(() if is_mended else leaks),
            *_note_splits(members, result.splits, candidates, request),
        ),
    )


def _find_contradictions(
    candidates: Sequence[UsablePicture], duplicates: DuplicateSets
) -> dict[int, Finding]:
    """Return a finding for each picture with several labels: any of them may be wrong."""
    findings: dict[int, Finding] = {}
    for members in select_clusters(duplicates.exact).values():
        labels = sorted({candidates[index].listed.label for index in members})
        if len(labels) > 1:
            detail = f"the same picture stands under {', '.join(labels)}"
            for index in members:
                path = candidates[index].listed.path
                findings[index] = create_finding(ImportOutcome.CONTRADICTION, path, detail)
    return dict(sorted(findings.items()))


def _name_clusters(duplicates: DuplicateSets, present: Sequence[int]) -> dict[int, str]:
    """Return candidate → cluster: c0001 and so on, in the order of their first paths."""
    clusters = _select_present(duplicates, present)
    return {index: f"c{number:04d}" for number, members in enumerate(clusters, start=1) for index in members}


def _select_present(duplicates: DuplicateSets, present: Sequence[int]) -> list[list[int]]:
    """Return the clusters of near duplicates among the present candidates, without single pictures."""
    is_present = set(present)
    clusters = [
        [index for index in members if index in is_present]
        for members in select_clusters(duplicates.near).values()
    ]
    return [members for members in clusters if len(members) > 1]


def _note_duplicates(
    candidates: Sequence[UsablePicture], duplicates: DuplicateSets, remaining: Sequence[int]
) -> Iterator[Finding]:
    """Yield a finding for each picture that repeats an earlier one."""
    for first, *others in _select_present(duplicates, remaining):
        for index in others:
            kind = ImportOutcome.NEAR
            if candidates[index].listed.label != candidates[first].listed.label:
                kind = ImportOutcome.NEAR_OTHER_LABEL
            elif duplicates.exact[index] == duplicates.exact[first]:
                kind = ImportOutcome.IDENTICAL
            detail = f"shows what {candidates[first].listed.path} shows"
            yield create_finding(kind, candidates[index].listed.path, detail)


def _note_splits(
    members: Sequence[Member],
    splits: Sequence[Split],
    candidates: Sequence[UsablePicture],
    request: ImportRequest,
) -> Iterator[Finding]:
    """Yield a finding for each class that is missing in a split with pictures, and for unused shares."""
    counts = Counter((member.label, split) for member, split in zip(members, splits, strict=True))
    used_splits = [split for split in Split if split in set(splits)]
    for label in sorted({member.label for member in members}):
        missing = [split.value for split in used_splits if not counts[label, split]]
        if missing:
            detail = f"{label} has no picture in {' and '.join(missing)}"
            yield create_finding(ImportOutcome.MISSING_CLASS, "", detail)
    # Shares only cut the splits that the source does not give.
    given = {each.listed.split for each in candidates}
    if request.shares and request.splits is not SplitPolicy.NEW and {Split.VALIDATION, Split.TEST} <= given:
        detail = "the source gives validation and test, which are kept; add --new-splits to split anew"
        what = f"--split {request.shares} cut nothing: {detail}"
        yield create_finding(ImportOutcome.UNUSED_SHARES, "", what)
