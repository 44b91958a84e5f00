"""The golden vectors: a single changed bit fails here."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from dermpack.imaging.preprocessing import Policy, prepare
from dermpack.storage.files import sha256_file, sha256_of
from tests.golden.make import FOLDER, INDEX_FILE

VECTORS: list[dict[str, Any]] = json.loads((FOLDER / INDEX_FILE).read_text(encoding="utf-8"))["vectors"]
MAX_BYTES = 500_000


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["output"]))
def test_preparing_gives_the_golden_bytes(vector: dict[str, Any]) -> None:
    output = prepare(FOLDER / vector["picture"], vector["size"], policy=Policy(vector["policy"]))
    expected = np.frombuffer((FOLDER / vector["output"]).read_bytes(), np.uint8).reshape(output.shape)
    assert np.array_equal(output, expected), f"{np.count_nonzero(output != expected)} bytes differ"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["output"]))
def test_the_index_matches_the_golden_files(vector: dict[str, Any]) -> None:
    assert sha256_file(FOLDER / vector["picture"]) == vector["picture_sha256"]
    assert sha256_of((FOLDER / vector["output"]).read_bytes()) == vector["output_sha256"]


def test_every_policy_has_golden_vectors() -> None:
    assert {vector["policy"] for vector in VECTORS} == {policy.value for policy in Policy}


def test_the_golden_folder_stays_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < MAX_BYTES
