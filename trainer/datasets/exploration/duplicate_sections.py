"""The sections of the dataset report that show related pictures side by side, with the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from dermpack.dataset.manifest import Dataset, DuplicatePair, PairRelation, Picture
from dermpack.reporting.contact_sheet import Entry, contact_sheet
from dermpack.reporting.page import Block, Image, Media, Section, Table
from trainer.datasets.exploration.explore import collect_pictures
from trainer.datasets.splits.split import cluster_of

MAX_PAIRS = 24  # on a sheet and in a table
MAX_PER_CLUSTER = 4
CELL, COLUMNS = 168, 4  # pixels, pictures a row: two pairs
ORDER = "the largest clusters first"
TEXT = (
    "Features are details of both pictures that match under one scaling, rotation and shift. "
    "The agreement is the correlation of the details of both pictures, at most 1. The same photograph may "
    "be cropped, scaled, recoloured or carry text; the same scene is another shot."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelatedPictures:
    """Two pictures of a cluster; without `pair`, they are identical or the import recorded no evidence."""

    first: Picture
    second: Picture
    pair: DuplicatePair | None

    @property
    def has_two_labels(self) -> bool:
        return self.first.label != self.second.label

    def relation(self) -> str:
        if self.pair is not None:
            return self.pair.relation.value
        return "identical file" if self.first.sha256 == self.second.sha256 else "related"

    def evidence(self) -> str:
        """Return the evidence in a few words: "87 features, agreement 0.93, ×1.24, turned 90°, mirrored"."""
        pair = self.pair
        if pair is None:
            return ""
        if not pair.inliers:
            return "perceptual hash"
        words = [f"{pair.inliers} features", f"agreement {pair.agreement:.2f}", f"×{pair.scale:.2f}"]
        if pair.rotation_degrees:
            words.append(f"turned {pair.rotation_degrees}°")
        if pair.is_mirrored:
            words.append("mirrored")
        return ", ".join(words)


def create_duplicate_sections(dataset: Dataset, *, with_pictures: bool) -> list[Section]:
    """Return a section of the largest clusters and one of related pictures with different labels."""
    related = list(list_related(dataset))
    if not related:
        return []
    clusters: dict[str, list[RelatedPictures]] = {}
    for one in related:
        clusters.setdefault(one.first.cluster, []).append(one)
    shown = [one for members in clusters.values() for one in members[:MAX_PER_CLUSTER]]
    sections = [_create_section("Duplicates side by side", ORDER, dataset, shown, related, with_pictures)]
    divided = [one for one in related if one.has_two_labels]
    if divided:
        title = "Duplicates with different labels"
        order = "one of the labels may be wrong; the most certain pairs first"
        divided.sort(key=_rank_certainty)
        sections.append(_create_section(title, order, dataset, divided, divided, with_pictures))
    return sections


def list_related(dataset: Dataset) -> Iterator[RelatedPictures]:
    """Yield the pairs of each cluster, the largest ones first; each picture of a cluster is in a pair."""
    pictures = {picture.path: picture for picture in dataset.pictures}
    pairs_of_cluster: dict[str, list[RelatedPictures]] = {}
    for pair in dataset.pairs:
        if pair.first in pictures and pair.second in pictures:
            one = RelatedPictures(first=pictures[pair.first], second=pictures[pair.second], pair=pair)
            pairs_of_cluster.setdefault(one.first.cluster, []).append(one)
    clusters = collect_pictures(dataset.pictures, cluster_of)
    for name, members in sorted(clusters.items(), key=lambda item: (-len(item[1]), item[0])):
        listed = pairs_of_cluster.get(name, [])
        listed.sort(key=lambda one: -one.pair.inliers if one.pair else 0)
        yield from listed
        seen = {one.first.path for one in listed} | {one.second.path for one in listed}
        photographs = collect_pictures(members, lambda picture: picture.photograph)
        for member in members:
            if member.path in seen:
                continue
            same = photographs.get(member.photograph, []) if member.photograph else []
            others = (other for other in (*same[:2], *members[:2]) if other is not member)
            if (other := next(others, None)) is not None:
                seen |= {member.path, other.path}
                first, second = sorted((member, other), key=lambda picture: picture.path)
                yield RelatedPictures(first=first, second=second, pair=None)


def _rank_certainty(one: RelatedPictures) -> tuple[bool, bool, float]:
    """Return a key that sorts one photograph first, then by agreement, and pairs without evidence last."""
    if one.pair is None:
        return True, True, 0.0
    return False, one.pair.relation is not PairRelation.SAME_PHOTOGRAPH, -one.pair.agreement


def _create_section(
    title: str,
    order: str,
    dataset: Dataset,
    shown: Sequence[RelatedPictures],
    every: Sequence[RelatedPictures],
    with_pictures: bool,
) -> Section:
    listed = list(islice(shown, MAX_PAIRS))
    counted = f"{len(listed):,} of {len(every):,} pairs, {order}"
    blocks: list[Block] = [TEXT]
    if with_pictures:
        entries: list[Entry] = []
        for one in listed:
            kind, transform, *_ = (*one.evidence().split(", ×"), "")
            words = (
                (one.first, one.relation(), kind),
                (one.second, f"×{transform}" if transform else "", ""),
            )
            for picture, *rest in words:
                lines = (PurePosixPath(picture.path).stem, f"{picture.label} ({picture.split.value})", *rest)
                entries.append((dataset.file(picture), lines))
        sheet = contact_sheet(entries, cell=CELL, columns=COLUMNS, group=2, media=Media.JPEG)
        alt = f"Contact sheet, two related pictures next to each other: {counted}"
        blocks.append(Image(data=sheet, alt=alt, caption=counted, media=Media.JPEG, is_photograph=True))
    rows = [
        [
            one.first.cluster,
            one.first.path,
            one.second.path,
            one.relation(),
            one.evidence(),
            " / ".join(dict.fromkeys((one.first.label, one.second.label))),
            " / ".join(dict.fromkeys((one.first.split.value, one.second.split.value))),
        ]
        for one in listed
    ]
    header = ["cluster", "picture", "other picture", "relation", "evidence", "labels", "splits"]
    blocks.append(Table(f"Related pictures ({counted}; dataset.json has all)", header, rows))
    return Section(title, blocks)
