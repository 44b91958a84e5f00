"""The report shows related pictures side by side, the largest clusters first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dermpack.dataset.manifest import DuplicatePair, PairRelation
from dermpack.reporting.page import Image, Table
from tests.support.training_dataset import of_pictures, picture, write
from trainer.datasets.exploration.duplicate_sections import (
    MAX_PAIRS,
    create_duplicate_sections,
    list_related,
)


def test_a_dataset_without_clusters_has_no_section(tmp_path: Path) -> None:
    assert create_duplicate_sections(of_pictures(tmp_path, [picture(0, "nv")]), with_pictures=True) == []


def test_the_largest_clusters_come_first_and_every_picture_is_shown(tmp_path: Path) -> None:
    rows = [replace(picture(index, "nv"), cluster="c1" if index < 2 else "c2") for index in range(5)]
    related = list(list_related(of_pictures(tmp_path, rows)))
    assert [(one.first.cluster, one.second.path) for one in related] == [
        ("c2", rows[3].path),
        ("c2", rows[4].path),
        ("c1", rows[1].path),
    ]


def test_pairs_are_shown_with_the_evidence(tmp_path: Path) -> None:
    rows = [replace(picture(index, "nv"), cluster="c1") for index in range(2)]
    pair = DuplicatePair(
        first=rows[0].path,
        second=rows[1].path,
        relation=PairRelation.SAME_SCENE,
        inliers=41,
        agreement=0.625,
        scale=1.5,
        rotation_degrees=-90,
        is_mirrored=True,
    )
    dataset = write(replace(of_pictures(tmp_path, rows), pairs=(pair,)))
    (section,) = create_duplicate_sections(dataset, with_pictures=True)
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    evidence = "41 features, agreement 0.62, ×1.50, turned -90°, mirrored"
    assert table.rows[0][3:5] == ["same scene or lesion", evidence]
    assert [type(block) for block in section.blocks].count(Image) == 1


def test_different_labels_have_a_section_of_their_own(tmp_path: Path) -> None:
    rows = [
        replace(picture(index, "nv" if index % 2 else "mel"), cluster=f"c{index // 2}") for index in range(4)
    ]
    rows += [replace(picture(index, "nv"), cluster=f"c{index // 2}") for index in range(4, 80)]
    sections = create_duplicate_sections(of_pictures(tmp_path, rows), with_pictures=False)
    (first,), (second,) = ([block for block in each.blocks if isinstance(block, Table)] for each in sections)
    assert [len(first.rows), len(second.rows)] == [MAX_PAIRS, 2]
    assert all(row[5] == "mel / nv" for row in second.rows)


def test_a_picture_without_evidence_is_beside_another_one_of_its_photograph(tmp_path: Path) -> None:
    photographs = ["p1", "p2", "p2", ""]
    rows = [
        replace(picture(index, "nv"), cluster="c1", photograph=name) for index, name in enumerate(photographs)
    ]
    related = list(list_related(of_pictures(tmp_path, rows)))
    shown = [(one.first.path, one.second.path) for one in related]
    assert (rows[1].path, rows[2].path) in shown
    assert {path for paths in shown for path in paths} == {row.path for row in rows}


def test_of_different_labels_the_most_certain_pair_is_first(tmp_path: Path) -> None:
    rows = [
        replace(picture(index, "nv" if index % 2 else "mel"), cluster=f"c{index // 2}") for index in range(8)
    ]
    evidence = ((PairRelation.SAME_SCENE, 0.95), (PairRelation.SAME_PHOTOGRAPH, 0.92))
    pairs = tuple(
        DuplicatePair(
            first=rows[2 * number].path,
            second=rows[2 * number + 1].path,
            relation=relation,
            inliers=20,
            agreement=agreement,
        )
        for number, (relation, agreement) in enumerate((*evidence, (PairRelation.SAME_PHOTOGRAPH, 0.97)))
    )
    dataset = replace(of_pictures(tmp_path, rows), pairs=pairs)
    *_, section = create_duplicate_sections(dataset, with_pictures=False)
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    assert [row[0] for row in table.rows] == ["c2", "c1", "c0", "c3"]
