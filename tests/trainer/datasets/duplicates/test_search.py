"""Changed copies are found and confirmed by geometry; a common mark does not confirm anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from dermpack.dataset.manifest import DuplicateSearch, PairRelation
from dermpack.storage.files import sha256_of
from tests.support.colour_patches import Pixels, detailed_patch, jpeg, png, write
from trainer.datasets.duplicates.candidates import MAX_ALL_PAIRS
from trainer.datasets.duplicates.hashes import Signature, compute_signature
from trainer.datasets.duplicates.search import (
    DuplicateSets,
    search_duplicates,
    select_clusters,
)
from trainer.datasets.splits.split import join_pairs

Change = Callable[[Image.Image], Image.Image]
SIDE = 224
COUNT = 8
COUNT_WITH_FEATURES = MAX_ALL_PAIRS + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPicture:
    """A picture of a search."""

    path: str
    sha256: str
    signature: Signature


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMPACK_CACHE", str(tmp_path / "cache"))


def skin(seed: int, *, side: int = SIDE) -> Image.Image:
    return Image.fromarray(detailed_patch(seed, size=side))


def save_and_search(folder: Path, pictures: Sequence[Image.Image]) -> DuplicateSets:
    searched = []
    for number, picture in enumerate(pictures):
        pixels: Pixels = np.asarray(picture)
        path = write(folder / f"{number:03}.png", png(pixels))
        sha256 = sha256_of(path.read_bytes())
        searched.append(SavedPicture(path=path.name, sha256=sha256, signature=compute_signature(pixels)))
    return search_duplicates(searched, root=folder, search=DuplicateSearch.THOROUGH, jobs=1)


def with_text(image: Image.Image) -> Image.Image:
    marked = image.copy()
    ImageDraw.Draw(marked).text((8, SIDE - 30), "CLINIC 1234", fill="white", font_size=24)
    return marked


def on_border(image: Image.Image) -> Image.Image:
    page = Image.new("RGB", (SIDE + 80, SIDE + 80), "black")
    page.paste(image, (40, 40))
    return page


def recoloured(image: Image.Image) -> Image.Image:
    red, green, blue = image.split()
    return Image.merge("RGB", (red.point(lambda v: v * 0.8), green, blue.point(lambda v: 40 + v * 0.7)))


CHANGES: dict[str, Change] = {
    "cropped": lambda image: image.crop((20, 20, 190, 190)),
    "cropped and mirrored": lambda image: image.crop((20, 20, 190, 190)).transpose(
        Image.Transpose.FLIP_LEFT_RIGHT
    ),
    "cropped and turned": lambda image: image.crop((20, 20, 190, 190)).transpose(Image.Transpose.ROTATE_90),
    "cropped and halved": lambda image: image.crop((8, 8, 208, 208)).resize((110, 110)),
    "with text": with_text,
    "on a border": on_border,
    "recoloured": lambda image: ImageEnhance.Contrast(recoloured(image)).enhance(0.8),
    "rotated a little": lambda image: image.rotate(20, Image.Resampling.BICUBIC).crop((45, 45, 180, 180)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_is_the_same_photograph(change: Change, tmp_path: Path) -> None:
    originals = [skin(seed) for seed in range(COUNT)]
    found = save_and_search(tmp_path, [*originals, *map(change, originals)])
    assert found.photographs == (*range(COUNT), *range(COUNT))
    assert {pair.relation for pair in found.pairs} == {PairRelation.SAME_PHOTOGRAPH}


def test_the_evidence_describes_the_transform(tmp_path: Path) -> None:
    original = skin(1)
    copy = original.crop((12, 12, 212, 212)).resize((100, 100), Image.Resampling.BOX)
    found = save_and_search(tmp_path, [original, copy.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.is_mirrored) == ("000.png", "001.png", True)
    assert pair.scale == pytest.approx(0.5, abs=0.01)
    assert abs(pair.rotation_degrees) <= 1
    assert pair.inliers > 20
    assert pair.agreement > 0.9


def another_shot(image: Image.Image) -> Image.Image:
    """Return a picture in which half of the details have changed."""
    other = np.asarray(skin(999), dtype=float)
    return Image.fromarray((0.6 * np.asarray(image, dtype=float) + 0.4 * other).astype(np.uint8))


def test_another_shot_is_in_the_cluster_but_not_the_same_photograph(tmp_path: Path) -> None:
    originals = [skin(seed) for seed in range(4)]
    found = save_and_search(tmp_path, [*originals, another_shot(originals[2])])
    assert select_clusters(found.near) == {2: [2, 4]}
    assert select_clusters(found.photographs) == {}
    assert [pair.relation for pair in found.pairs] == [PairRelation.SAME_SCENE]


def ruler(image: Image.Image) -> Image.Image:
    marked = image.copy()
    pen = ImageDraw.Draw(marked)
    pen.rectangle((0, SIDE - 40, SIDE, SIDE), fill="white")
    for place in range(4, SIDE, 8):
        pen.line((place, SIDE - 40, place, SIDE - (20 if place % 40 else 12)), fill="black", width=2)
    for number in range(6):
        pen.text((number * 40 + 6, SIDE - 18), f"{number} cm", fill="black", font_size=14)
    return marked


def frame(image: Image.Image) -> Image.Image:
    marked = image.copy()
    pen = ImageDraw.Draw(marked)
    for inset, colour in ((0, "black"), (6, "white"), (12, "black")):
        pen.rectangle((inset, inset, SIDE - 1 - inset, SIDE - 1 - inset), outline=colour, width=6)
    for place in range(20, SIDE - 20, 24):
        for corner in ((place, 4), (4, place), (place, SIDE - 16), (SIDE - 16, place)):
            pen.ellipse((*corner, corner[0] + 10, corner[1] + 10), fill="red")
    return marked


MARKS: dict[str, Change] = {"text": with_text, "ruler": ruler, "frame": frame}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
def test_forty_different_pictures_with_the_same_mark_are_not_related(mark: Change, tmp_path: Path) -> None:
    found = save_and_search(tmp_path, [mark(skin(seed)) for seed in range(40)])
    assert found.pairs == ()
    assert select_clusters(found.near) == {}


def test_plain_pictures_with_the_same_mark_are_not_related_by_geometry(tmp_path: Path) -> None:
    pictures = []
    for seed in range(6):
        shades = np.random.default_rng(seed).integers(90, 200, (3, 3, 3), dtype=np.uint8)
        smooth = Image.fromarray(shades).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        pictures.append(ruler(smooth))
    assert [pair for pair in save_and_search(tmp_path, pictures).pairs if pair.inliers] == []


@pytest.mark.parametrize(("search", "near"), [("fast", {0: [0, 1]}), ("off", {})])
def test_a_weaker_search_finds_less(search: str, near: dict[int, list[int]], tmp_path: Path) -> None:
    original = skin(3)
    pixels = [
        np.asarray(original),
        np.asarray(original.resize((200, 200))),
        np.asarray(CHANGES["cropped"](original)),
    ]
    searched = [
        SavedPicture(path=f"{n}.png", sha256=str(n), signature=compute_signature(each))
        for n, each in enumerate(pixels)
    ]
    found = search_duplicates(searched, root=tmp_path, search=DuplicateSearch(search))
    assert select_clusters(found.near) == near
    assert found.search is DuplicateSearch(search)


def test_the_evidence_of_many_equal_pictures_joins_them_and_is_no_longer(tmp_path: Path) -> None:
    signature = compute_signature(np.asarray(skin(3)))
    searched = [
        SavedPicture(path=f"{n:03}.png", sha256=str(n), signature=replace(signature, pixels_sha256=str(n)))
        for n in range(400)
    ]
    found = search_duplicates(searched, root=tmp_path, search=DuplicateSearch.FAST)
    assert select_clusters(found.near) == {0: list(range(400))}
    joined = [(int(pair.first[:3]), int(pair.second[:3])) for pair in found.pairs]
    assert len(joined) == 399
    assert join_pairs(400, joined) == list(found.near)


def test_a_second_search_uses_the_cached_features_unless_they_are_damaged(tmp_path: Path) -> None:
    pictures = [skin(seed) for seed in range(COUNT_WITH_FEATURES)]
    pictures.append(CHANGES["cropped"](pictures[4]))
    first = save_and_search(tmp_path, pictures)
    cached = sorted((tmp_path / "cache").rglob("*.cached"))
    written = [path.stat().st_ino for path in cached]
    # Features of the network, and local features of proposed pairs.
    assert len(cached) == 2 * len(pictures)
    assert save_and_search(tmp_path, pictures) == first
    assert [path.stat().st_ino for path in sorted((tmp_path / "cache").rglob("*.cached"))] == written
    for number, path in enumerate(cached):
        if number % 2:
            path.write_bytes(b"damaged")
        else:
            os.truncate(path, 20)
    assert save_and_search(tmp_path, pictures) == first
    assert select_clusters(first.near) == {4: [4, COUNT_WITH_FEATURES]}


def test_jpeg_copies_of_several_sizes_are_one_cluster(tmp_path: Path) -> None:
    original = skin(5, side=400)
    sizes = (400, 300, 200, 150)
    searched = []
    for size in sizes:
        pixels = np.asarray(original.resize((size, size), Image.Resampling.BOX))
        path = write(tmp_path / f"{size}.jpg", jpeg(pixels, quality=70))
        sha256 = sha256_of(path.read_bytes())
        searched.append(SavedPicture(path=path.name, sha256=sha256, signature=compute_signature(pixels)))
    found = search_duplicates(searched, root=tmp_path, search=DuplicateSearch.THOROUGH, jobs=2)
    assert found.photographs == (0, 0, 0, 0)
