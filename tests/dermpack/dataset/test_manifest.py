"""A dataset folder is written and read back, and is hostile until checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermpack.dataset.manifest import (
    Dataset,
    DuplicatePair,
    DuplicateSearch,
    Finding,
    Manifest,
    PairRelation,
    Picture,
    Split,
    manifest_text,
    parse_manifest,
    read_dataset,
    relative_root,
    write_dataset,
)
from dermpack.errors import DatasetError, TableError
from dermpack.storage.files import read_json
from tests.support.errors import raises_code

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


def picture(path: str = "a/1.png", **changes: object) -> Picture:
    plain = Picture(
        path=path,
        sha256="0" * 64,
        width=30,
        height=20,
        label="nv",
        split=Split.TRAIN,
        group="g",
        cluster="",
        metadata=("45", "male"),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the tests choose the fields


def dataset(folder: Path, *pictures: Picture) -> Dataset:
    return Dataset(
        folder=folder,
        root="../pictures",
        classes=("mel", "nv"),
        manifest=Manifest(pictures=pictures, columns=("age", "sex")),
        format="csv",
        source="demo",
        options={"seed": "0"},
        refused=(Finding(kind="empty", picture="a/2.png", detail="holds nothing"),),
    )


def test_a_dataset_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = dataset(tmp_path, picture(), picture('b,"c.png', label="mel", split=Split.TEST))
    sha256 = write_dataset(written, tmp_path)
    assert read_dataset(tmp_path) == replace(written, sha256=sha256)


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_dataset(dataset(tmp_path / name, picture()), tmp_path / name)
        texts.append([(tmp_path / name / file).read_bytes() for file in ("manifest.csv", "dataset.json")])
    assert texts[0] == texts[1]


def test_counts_hold_the_empty_classes_too(tmp_path: Path) -> None:
    assert dataset(tmp_path, picture()).counts()["train"] == {"mel": 0, "nv": 1}


def test_a_picture_is_found_by_the_root(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "sets" / "x").mkdir(parents=True)
    root = relative_root(tmp_path / "pictures", tmp_path / "sets" / "x")
    assert root == "../../pictures"
    file = replace(dataset(tmp_path / "sets" / "x"), root=root).file(picture())
    assert file.resolve() == tmp_path / "pictures" / "a" / "1.png"


@given(label=TEXT.filter(bool), group=TEXT, age=TEXT)
def test_any_text_survives_the_manifest(label: str, group: str, age: str) -> None:
    manifest = Manifest(
        pictures=(picture(label=label, group=group, metadata=(age, "x")),), columns=("age", "sex")
    )
    assert parse_manifest(manifest_text(manifest), where=Path("m.csv")) == manifest


GOOD = manifest_text(Manifest(pictures=(picture(), picture("b.png")), columns=("age", "sex")))
BROKEN: dict[str, Callable[[str], str]] = {
    "nothing": lambda _: "",
    "another header": lambda text: text.replace("sha256", "md5", 1),
    "a column twice": lambda text: text.replace("age,sex", "age,age"),
    "a cell too few": lambda text: text.replace(",male\n", "\n", 1),
    "a path outside": lambda text: text.replace("a/1.png", "../1.png"),
    "an absolute path": lambda text: text.replace("a/1.png", "/1.png"),
    "a picture twice": lambda text: text.replace("b.png", "a/1.png"),
    "a strange split": lambda text: text.replace("train", "training", 1),
    "a width in words": lambda text: text.replace(",30,", ",wide,", 1),
    "a negative width": lambda text: text.replace(",30,", ",-30,", 1),
    "a width without end": lambda text: text.replace(",30,", f",1{'0' * 400},", 1),
    "no label": lambda text: text.replace(",nv,", ",,", 1),
    "an open quote": lambda text: text.replace("b.png", '"b.png'),
    "a huge cell": lambda text: text.replace("male", "m" * 100_000, 1),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_manifest_is_refused(how: str) -> None:
    with raises_code("invalid-format") as caught:
        parse_manifest(BROKEN[how](GOOD), where=Path("m.csv"))
    assert isinstance(caught.value, TableError)
    assert caught.value.where.startswith("m.csv")


def test_photographs_are_a_column_where_there_are_any() -> None:
    with_photograph = Manifest(
        pictures=(replace(picture(), photograph="p0001"), picture("b.png")), columns=("age", "sex")
    )
    text = manifest_text(with_photograph)
    assert text.startswith("picture,sha256,width,height,label,split,group,cluster,photograph,age,sex\n")
    assert parse_manifest(text, where=Path("m.csv")) == with_photograph
    assert "photograph" not in GOOD


def test_a_column_of_the_source_with_this_name_is_kept_in_an_older_dataset() -> None:
    text = GOOD.replace("age", "photograph", 1)
    assert parse_manifest(text, where=Path("m.csv"), schema=1).columns == ("photograph", "sex")


def test_cells_of_the_first_schema_are_not_unescaped() -> None:
    text = GOOD.replace("male", "'=1", 1)
    old, new = (parse_manifest(text, where=Path("m.csv"), schema=schema).pictures[0] for schema in (1, 2))
    assert (old.metadata[1], new.metadata[1]) == ("'=1", "=1")


def test_a_dataset_of_the_first_schema_is_read_as_searched_fast(tmp_path: Path) -> None:
    written = replace(dataset(tmp_path, picture()), search=DuplicateSearch.THOROUGH)
    write_dataset(written, tmp_path)
    record = read_json(tmp_path / "dataset.json")
    older = {name: value for name, value in record.items() if name not in ("search", "pairs")} | {"schema": 1}
    (tmp_path / "dataset.json").write_text(json.dumps(older))
    assert read_dataset(tmp_path).search is DuplicateSearch.FAST
    assert read_dataset(tmp_path).pictures == written.pictures


def test_pairs_are_read_back(tmp_path: Path) -> None:
    pair = DuplicatePair(first="a", second="b", relation=PairRelation.SAME_SCENE, inliers=12, agreement=0.5)
    write_dataset(replace(dataset(tmp_path, picture()), pairs=(pair,)), tmp_path)
    assert read_dataset(tmp_path).pairs == (pair,)


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    write_dataset(dataset(tmp_path, picture()), tmp_path)
    (tmp_path / "manifest.csv").write_text(manifest_text(Manifest(pictures=(), columns=())))
    with raises_code("invalid-format", tmp_path / "manifest.csv") as caught:
        read_dataset(tmp_path)
    assert isinstance(caught.value, DatasetError)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", 99),
        ("classes", ["mel"]),
        ("classes", 7),
        ("classes", ["nv", "mel"]),
        ("classes", ["mel", "mel", "nv"]),
        ("classes", "melnv"),
        ("root", None),
        ("root", "a\0b"),
        ("root", "x" * 5000),
        ("refused", [{}]),
        ("options", []),
        ("source", "half \ud800"),
    ],
)
def test_a_strange_record_is_refused(tmp_path: Path, key: str, value: object) -> None:
    write_dataset(dataset(tmp_path, picture()), tmp_path)
    record = {**read_json(tmp_path / "dataset.json"), key: value}
    (tmp_path / "dataset.json").write_text(json.dumps(record))
    code = "unsupported-schema" if key == "schema" else "invalid-format"
    with raises_code(code, tmp_path / "dataset.json") as caught:
        read_dataset(tmp_path)
    assert isinstance(caught.value, DatasetError)


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with raises_code("dataset-not-found", tmp_path, "dataset.json") as caught:
        read_dataset(tmp_path)
    assert isinstance(caught.value, DatasetError)
