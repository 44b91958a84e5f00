"""Features depend on the content alone, and turned copies have equal features in any pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dermpack.storage.files import sha256_of
from tests.support.colour_patches import Pixels, detailed_patch, png, write
from tests.support.errors import raises_code
from trainer.datasets.picture_features import (
    LENGTH,
    MODEL_FILE,
    MODEL_SHA256,
    Pose,
    Region,
    SourcePicture,
    compute_features,
    standardize,
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMPACK_CACHE", str(tmp_path / "cache"))


def save(path: Path, pixels: Pixels) -> SourcePicture:
    write(path, png(pixels))
    return path, sha256_of(path.read_bytes())


def test_the_network_is_the_one_that_the_notice_describes() -> None:
    assert sha256_of(MODEL_FILE.read_bytes()) == MODEL_SHA256
    assert MODEL_SHA256 in MODEL_FILE.with_name("picture_features.NOTICE.md").read_text(encoding="utf-8")
    assert MODEL_FILE.stat().st_size < 2 << 20


def test_equal_content_has_equal_features_and_is_computed_once(tmp_path: Path) -> None:
    pixels = detailed_patch(1, size=96)
    one, other = save(tmp_path / "a.png", pixels), save(tmp_path / "b.png", pixels)
    features = compute_features([one, save(tmp_path / "c.png", detailed_patch(2, size=96)), other])
    assert features.shape == (3, LENGTH)
    assert (features[0] == features[2]).all()
    assert (features[0] != features[1]).any()
    assert len([*(tmp_path / "cache").rglob("*.cached")]) == 2
    assert (compute_features([other]) == features[:1]).all()


def test_turned_and_mirrored_copies_are_equal_in_any_pose_only(tmp_path: Path) -> None:
    pixels = detailed_patch(3, size=224)
    pictures = [save(tmp_path / "a.png", pixels), save(tmp_path / "b.png", np.rot90(pixels[:, ::-1]))]
    first, second = compute_features(pictures, pose=Pose.ANY)
    assert first == pytest.approx(second, abs=0.02)
    first, second = compute_features(pictures)
    assert np.abs(first - second).max() > 0.1


def test_the_border_does_not_depend_on_the_centre(tmp_path: Path) -> None:
    pixels = detailed_patch(4, size=224)
    changed = pixels.copy()
    changed[40:-40, 40:-40] = 0
    pictures = [save(tmp_path / "a.png", pixels), save(tmp_path / "b.png", changed)]
    first, second = compute_features(pictures, region=Region.BORDER)
    assert (first == second).all()
    first, second = compute_features(pictures, region=Region.CENTRE)
    assert (first != second).any()


def test_a_changed_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path, sha256 = save(tmp_path / "a.png", detailed_patch(5, size=32))
    path.write_bytes(b"anything else")
    with raises_code("picture-changed", path):
        compute_features([(path, sha256)])


def test_standardized_features_are_unit_vectors() -> None:
    features = np.random.default_rng(0).normal(3, 2, (20, 8)).astype(np.float32)
    features[:, 3] = 7  # a constant feature
    unit = standardize(features)
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1)
    assert (features[:, 3] == 7).all()
