"""Decide which pictures stay, what belongs together, and who goes into which split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dermpack.dataset.manifest import Finding, Picture, Split
from dermpack.progress import Track, silent
from trainer.datasets.duplicates.disjoint_sets import Unions
from trainer.datasets.duplicates.find_duplicates import DuplicateSets, clusters, find_duplicates
from trainer.datasets.examine import ExaminedPicture
from trainer.datasets.import_outcome import ImportOutcome, outcome
from trainer.datasets.import_request import ImportRequest, SplitPolicy
from trainer.datasets.layouts.listing import ListedPicture
from trainer.datasets.splits.given_splits import GivenSplits, keep_given
from trainer.datasets.splits.split import Member, split
from trainer.datasets.splits.split_shares import DEFAULT_SHARES


@dataclass(frozen=True, slots=True, kw_only=True)
class UsablePicture:
    """A usable picture: what the source says of it, and what decoding it told."""

    found: ListedPicture
    examined: ExaminedPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrangedPictures:
    """The rows of the manifest, what was left out, and what is worth knowing."""

    pictures: tuple[Picture, ...]
    refused: tuple[Finding, ...]
    notes: tuple[Finding, ...]


def arrange(
    candidates: Sequence[UsablePicture], request: ImportRequest, *, track: Track = silent
) -> ArrangedPictures:
    """Candidates come, and pictures go, in the order of their paths."""
    alike = find_duplicates([each.examined.signature for each in candidates], track=track)
    contradictions = _contradictions(candidates, alike)
    left_out = {at for at, _ in contradictions}
    staying = [at for at in range(len(candidates)) if at not in left_out]
    names = _cluster_names(alike, staying)
    members = _members(candidates, names, staying)
    kept = _splits(members, [candidates[at].found.split for at in staying], request)
    mended = set(kept.leaks) if request.splits is SplitPolicy.MENDED else set()
    remaining = [at for row, at in enumerate(staying) if row not in mended]
    names = _cluster_names(alike, remaining)
    pictures = [
        _picture(candidates[at], names.get(at, ""), kept.splits[row])
        for row, at in enumerate(staying)
        if row not in mended
    ]
    leaks = [_leak(candidates[staying[row]].found.path, kept, row) for row in sorted(kept.leaks)]
    return ArrangedPictures(
        pictures=tuple(pictures),
        refused=(*(finding for _, finding in contradictions), *(leaks if mended else ())),
        notes=(
            *_duplicate_notes(candidates, alike, remaining),
            *(() if mended else leaks),
            *_missing_classes(members, kept),
            *_unused_shares(candidates, request),
        ),
    )


def _contradictions(candidates: Sequence[UsablePicture], alike: DuplicateSets) -> list[tuple[int, Finding]]:
    """Pixel-identical pictures under different labels: nobody can tell which one is right."""
    found = []
    for members in clusters(alike.exact).values():
        labels = sorted({candidates[at].found.label for at in members})
        if len(labels) > 1:
            detail = f"the same picture stands under {', '.join(labels)}"
            found += [
                (at, outcome(ImportOutcome.CONTRADICTION, candidates[at].found.path, detail))
                for at in members
            ]
    return sorted(found, key=lambda pair: pair[0])


def _cluster_names(alike: DuplicateSets, staying: Sequence[int]) -> dict[int, str]:
    """Candidate → c0001 and so on, by the first path."""
    present = set(staying)
    sets = [[at for at in members if at in present] for members in clusters(alike.near).values()]
    real = [members for members in sets if len(members) > 1]
    return {at: f"c{number:04d}" for number, members in enumerate(real, start=1) for at in members}


def _members(
    candidates: Sequence[UsablePicture], names: dict[int, str], staying: Sequence[int]
) -> tuple[Member, ...]:
    """A unit is what hangs together by groups and clusters."""
    unions = Unions(len(staying))
    unions.join_equal([candidates[at].found.group or None for at in staying])
    unions.join_equal([names.get(at) for at in staying])
    return tuple(
        Member(path=candidates[at].found.path, label=candidates[at].found.label, unit=unit)
        for at, unit in zip(staying, unions.roots(), strict=True)
    )


def _splits(members: Sequence[Member], given: Sequence[Split | None], request: ImportRequest) -> GivenSplits:
    shares = request.shares or DEFAULT_SHARES
    if request.splits is SplitPolicy.NEW or not any(given):
        return GivenSplits(splits=split(members, shares=shares, seed=request.seed), leaks={})
    return keep_given(members, given, shares=shares, seed=request.seed)


def _picture(candidate: UsablePicture, cluster: str, chosen: Split) -> Picture:
    found, examined = candidate.found, candidate.examined
    return Picture(
        path=found.path,
        sha256=examined.sha256,
        width=examined.width,
        height=examined.height,
        label=found.label,
        split=chosen,
        group=found.group or found.path,  # a picture without a group is a group of its own
        cluster=cluster,
        metadata=found.metadata,
    )


def _leak(path: str, kept: GivenSplits, row: int) -> Finding:
    detail = f"is in {kept.splits[row].value}, its group or cluster also in {kept.leaks[row].value}"
    return outcome(ImportOutcome.LEAK, path, detail)


def _duplicate_notes(
    candidates: Sequence[UsablePicture], alike: DuplicateSets, staying: Sequence[int]
) -> Iterator[Finding]:
    """One finding for each picture that repeats an earlier one."""
    present = set(staying)
    for members in clusters(alike.near).values():
        first, *others = [at for at in members if at in present] or [-1]
        for at in others:
            same = alike.exact[at] == alike.exact[first]
            other_label = candidates[at].found.label != candidates[first].found.label
            word = (
                ImportOutcome.NEAR_OTHER_LABEL
                if other_label
                else ImportOutcome.IDENTICAL
                if same
                else ImportOutcome.NEAR
            )
            detail = f"shows what {candidates[first].found.path} shows"
            yield outcome(word, candidates[at].found.path, detail)


def _unused_shares(candidates: Sequence[UsablePicture], request: ImportRequest) -> Iterator[Finding]:
    """Asked shares cut only what the source does not give."""
    given = {each.found.split for each in candidates}
    if request.shares and request.splits is not SplitPolicy.NEW and {Split.VALIDATION, Split.TEST} <= given:
        detail = "the source gives validation and test, which are kept; add --new-splits to split anew"
        yield outcome(ImportOutcome.UNUSED_SHARES, "", f"--split {request.shares} cut nothing: {detail}")


def _missing_classes(members: Sequence[Member], kept: GivenSplits) -> Iterator[Finding]:
    """A class that cannot stand in every split that has pictures."""
    counts = Counter((member.label, chosen) for member, chosen in zip(members, kept.splits, strict=True))
    used = [each for each in Split if each in set(kept.splits)]
    for label in sorted({member.label for member in members}):
        missing = [each.value for each in used if not counts[label, each]]
        if missing:
            yield outcome(
                ImportOutcome.MISSING_CLASS, "", f"{label} has no picture in {' and '.join(missing)}"
            )
