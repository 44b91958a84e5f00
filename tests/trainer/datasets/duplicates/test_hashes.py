"""Copies are found however they were changed; different pictures are not taken for copies."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tests.support.colour_patches import Pixels, jpeg, patch
from trainer.datasets.duplicates.hashes import (
    ORIENTATIONS,
    RADIUS,
    Signature,
    compute_signature,
    find_identical,
    find_neighbours,
    find_similar,
    hamming_distance,
    orient,
)
from trainer.datasets.duplicates.search import select_clusters
from trainer.datasets.splits.split import join_pairs

Change = Callable[[Image.Image], Image.Image]


def find_sets(signatures: list[Signature]) -> list[int]:
    """Return the sets of identical and similar pictures."""
    identical = enumerate(find_identical(signatures))
    return join_pairs(len(signatures), [*identical, *find_similar(signatures)])


def reencoded(quality: int) -> Change:
    return lambda image: Image.open(BytesIO(jpeg(np.asarray(image), quality=quality))).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    return image.crop((2, 2, image.width - 2, image.height - 2))


CHANGES: dict[str, Change] = {
    "quality 95": reencoded(95),
    "quality 50": reencoded(50),
    "half": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.05),
    "cropped": cropped,
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "transposed": lambda image: image.transpose(Image.Transpose.TRANSVERSE),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_is_found(change: Change) -> None:
    originals = [patch(seed, size=160) for seed in range(8)]
    copies = [np.asarray(change(Image.fromarray(pixels))) for pixels in originals]
    signatures = [compute_signature(pixels) for pixels in (*originals, *copies)]
    assert find_sets(signatures) == [*range(8), *range(8)]
    assert find_identical(signatures) == list(range(16))


def test_different_pictures_are_not_alike() -> None:
    assert find_similar([compute_signature(patch(seed)) for seed in range(300)]) == []


def test_equal_pixels_are_exact_duplicates() -> None:
    signatures = [compute_signature(patch(seed)) for seed in (1, 2, 1, 1)]
    assert select_clusters(find_identical(signatures)) == {0: [0, 2, 3]}
    assert select_clusters(find_sets(signatures)) == {0: [0, 2, 3]}


def test_pixels_of_another_shape_are_not_equal() -> None:
    flat = np.zeros((4, 8, 3), dtype=np.uint8)
    assert compute_signature(flat).pixels_sha256 != compute_signature(flat.reshape(8, 4, 3)).pixels_sha256


def test_plain_surfaces_have_exact_duplicates_only() -> None:
    surfaces: list[Pixels] = [np.full((16, 16, 3), level, dtype=np.uint8) for level in (0, 0, 120, 255)]
    assert select_clusters(find_sets([compute_signature(pixels) for pixels in surfaces])) == {0: [0, 1]}


def test_thousands_of_black_pictures_are_one_cluster() -> None:
    black = compute_signature(np.zeros((16, 16, 3), dtype=np.uint8))
    assert select_clusters(find_sets([black] * 20_000)) == {0: list(range(20_000))}


def test_the_pairs_of_many_similar_pictures_are_fewer_than_the_pictures() -> None:
    rng = np.random.default_rng(0)
    noisy = [patch(index % 2) + rng.integers(0, 3, patch(0).shape, dtype=np.uint8) for index in range(300)]
    signatures = [compute_signature(pixels) for pixels in noisy]
    assert len(find_similar(signatures)) == 298
    assert find_sets(signatures) == [index % 2 for index in range(300)]


def test_no_picture_is_no_duplicate() -> None:
    assert find_similar([]) == []


def test_eight_orientations_are_all_different_and_first_the_picture() -> None:
    grid = np.arange(12).reshape(3, 4)
    forms = {
        orient(grid, index).tobytes() + bytes(orient(grid, index).shape) for index in range(ORIENTATIONS)
    }
    assert len(forms) == ORIENTATIONS
    assert (orient(grid, 0) == grid).all()


def test_all_hashes_within_the_radius_are_found() -> None:
    rng = np.random.default_rng(7)
    base = rng.integers(0, 1 << 63, 400, dtype=np.uint64)
    flipped = base.copy()
    for index in range(len(base)):
        for bit in rng.choice(64, size=index % (RADIUS + 3), replace=False):
            flipped[index] ^= np.uint64(1) << np.uint64(bit)
    found = {
        pair for a, b in find_neighbours(base, flipped) for pair in zip(a.tolist(), b.tolist(), strict=True)
    }
    far = hamming_distance(base[:, None], flipped[None, :])
    assert found == {(int(a), int(b)) for a, b in np.argwhere(far <= RADIUS)}


def test_distance_counts_differing_bits() -> None:
    first = np.array([0, 0b1011, 2**64 - 1], dtype=np.uint64)
    assert hamming_distance(first, np.array([0, 0b0001, 0], dtype=np.uint64)).tolist() == [0, 2, 64]
