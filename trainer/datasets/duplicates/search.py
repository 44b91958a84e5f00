"""Search for duplicates: join what the hashes, the network and the geometry find into sets of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dermpack.dataset.manifest import DuplicatePair, DuplicateSearch, PairRelation
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits
from dermpack.processes.process_pool import available_jobs
from dermpack.progress import Track, silent
from trainer.datasets.duplicates.hashes import Signature, find_identical, find_similar
from trainer.datasets.splits.split import join_pairs, members_by_root, select_joining

if TYPE_CHECKING:
    from trainer.datasets.duplicates.geometry import Match

# The thorough search is the default up to this number: 9 minutes on two idle cores, estimated from 10,000.
MAX_THOROUGH_BY_DEFAULT = 20_000
DIGITS = 3  # of the evidence in dataset.json


class SearchedPicture(Protocol):
    """A picture of a search: its file, the SHA-256 of the file, and the signature of its pixels."""

    @property
    def path(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def signature(self) -> Signature: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateSets:
    """For each picture, the index that names its set; each kind of sets contains the one before."""

    search: DuplicateSearch
    exact: tuple[int, ...]  # identical pixels
    photographs: tuple[int, ...]  # the same photograph, however it was changed
    near: tuple[int, ...]  # the same photograph, or another one of the same scene or lesion
    pairs: tuple[DuplicatePair, ...] = ()  # the evidence that joins each set, without identical pictures


def choose_search(wanted: DuplicateSearch | None, *, pictures: int) -> DuplicateSearch:
    """Return the wanted search, or else the default for this number of pictures."""
    if wanted is not None:
        return wanted
    return DuplicateSearch.THOROUGH if pictures <= MAX_THOROUGH_BY_DEFAULT else DuplicateSearch.FAST


def require_libraries(search: DuplicateSearch | None) -> None:
    """Raise MissingExtraError now if the search needs a library that is not installed."""
    if search in (None, DuplicateSearch.THOROUGH):
        from dermpack.inference.interpreter_host import first_installed_runtime

        import_module("cv2")
        first_installed_runtime()


def search_duplicates(
    pictures: Sequence[SearchedPicture],
    *,
    root: Path,
    search: DuplicateSearch = DuplicateSearch.THOROUGH,
    limits: DecodingLimits = DEFAULT_LIMITS,
    jobs: int | None = None,
    track: Track = silent,
) -> DuplicateSets:
    """Return the sets of related pictures and the evidence; the paths are relative to `root`."""
    signatures = [picture.signature for picture in pictures]
    exact = find_identical(signatures)
    similar: list[tuple[int, int]] = []
    if search is not DuplicateSearch.OFF:
        similar = find_similar(signatures, track=track)
    matches: dict[tuple[int, int], Match] = {}
    if search is DuplicateSearch.THOROUGH:
        from trainer.datasets.duplicates.candidates import propose_pairs  # with OpenCV: of the data extra
        from trainer.datasets.duplicates.confirmation import confirm_pairs

        # One picture of each identical set is compared.
        different = [index for index, first in enumerate(exact) if index == first]
        sources = [(root / pictures[index].path, pictures[index].sha256) for index in different]
        workers = jobs or available_jobs()
        proposed = propose_pairs(sources, limits=limits, jobs=workers, track=track)
        known = set(similar)
        new = [(a, b) for a, b in proposed.tolist() if (different[a], different[b]) not in known]
        confirmed = confirm_pairs(sources, new, limits=limits, jobs=workers, track=track)
        matches = {(different[a], different[b]): match for a, b, match in confirmed}
    ranked = sorted(matches, key=lambda pair: (-matches[pair].agreement, pair))
    same = [pair for pair in ranked if matches[pair].is_same_photograph]
    photographs = join_pairs(len(pictures), chain(enumerate(exact), same, similar))
    near = join_pairs(len(pictures), chain(enumerate(photographs), ranked))
    # All pairs of many similar pictures would be a quadratic number: the best ones that join them are kept.
    kept = select_joining(len(pictures), chain(same, similar, ranked))
    pairs = [_describe_pair(pictures[a], pictures[b], matches.get((a, b))) for a, b in kept]
    return DuplicateSets(
        search=search,
        exact=tuple(exact),
        photographs=tuple(photographs),
        near=tuple(near),
        pairs=tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second))),
    )


def _describe_pair(first: SearchedPicture, second: SearchedPicture, match: Match | None) -> DuplicatePair:
    """Return the evidence of a pair that the geometry (`match`) or, without it, the hashes found."""
    relation = PairRelation.SAME_PHOTOGRAPH
    if match is None:
        return DuplicatePair(first=first.path, second=second.path, relation=relation)
    return DuplicatePair(
        first=first.path,
        second=second.path,
        relation=relation if match.is_same_photograph else PairRelation.SAME_SCENE,
        inliers=match.inliers,
        agreement=round(match.agreement, DIGITS),
        scale=round(match.scale, DIGITS),
        rotation_degrees=round(match.rotation_degrees),
        is_mirrored=match.is_mirrored,
    )


def select_clusters(roots: Sequence[int]) -> dict[int, list[int]]:
    """Return root → members for the sets with more than one member."""
    return {root: members for root, members in members_by_root(roots).items() if len(members) > 1}


def find_contradictions(exact: Sequence[int], labels: Sequence[str]) -> dict[int, str]:
    """Return index → "mel, nv" for identical pictures with several labels: any of them may be wrong."""
    contradictions: dict[int, str] = {}
    for members in select_clusters(exact).values():
        different = sorted({labels[index] for index in members})
        if len(different) > 1:
            contradictions |= dict.fromkeys(members, ", ".join(different))
    return contradictions
