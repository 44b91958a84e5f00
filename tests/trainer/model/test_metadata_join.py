"""Networks with metadata: both joins, where they are split, and a network without a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.errors import raises_code
from tests.support.known_patients import COLUMNS
from trainer.recipe.network_spec import Arch, Join, MetadataBranch, NetworkSpec, Weights

pytestmark = pytest.mark.tensorflow


def spec(*, join: Join = Join.CONCAT, arch: Arch = Arch.SCRATCH_CNN, **options: Any) -> NetworkSpec:
    branch = MetadataBranch(columns=COLUMNS, join=join, dense=(4,))
    small = {"filters": (4, 6)} if arch is Arch.SCRATCH_CNN else {}
    return NetworkSpec(arch=arch, size=28, classes=3, metadata=branch, **{**small, **options})


def build(network: NetworkSpec) -> Any:
    from trainer.model.network import build_network

    return build_network(network, weights=Weights.NONE, seed=0)


@pytest.mark.parametrize("join", list(Join))
def test_both_inputs_change_the_answer(join: Join) -> None:
    model = build(spec(join=join, dense=(5,)))
    pixels, rows = np.zeros((2, 28, 28, 3), np.float32), np.zeros((2, 9), np.float32)
    pixels[1], rows[1] = 1, 1
    same = model([pixels[:1], rows[:1]]).numpy()
    assert np.abs(model([pixels[1:], rows[:1]]).numpy() - same).max() > 1e-4
    assert np.abs(model([pixels[:1], rows[1:]]).numpy() - same).max() > 1e-4


@pytest.mark.parametrize("join", list(Join))
def test_a_frozen_picture_is_split_off_and_the_metadata_trains(join: Join) -> None:
    from trainer.model.freezing import find_boundary, freeze_below, split_model

    model = build(spec(join=join))
    freeze_below(model, 0)
    trained = {variable.name.partition("/")[0] for variable in model.trainable_variables}
    assert trained == {"predictions", "metadata_dense_1"} | (
        {"metadata_scale", "metadata_shift"} if join is Join.GATES else set()
    )
    boundary = find_boundary(model)
    trunk, rest = split_model(model, boundary)
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(3, 28, 28, 3)).astype(np.float32)
    rows = rng.normal(size=(3, 9)).astype(np.float32)
    assert (boundary, len(trunk.inputs), len(rest.inputs)) == ("pool", 1, 2)
    np.testing.assert_allclose(rest([trunk(pixels), rows]), model([pixels, rows]), rtol=1e-5)


def test_metadata_alone_takes_one_input() -> None:
    model = build(spec(arch=Arch.METADATA))
    assert [tuple(tensor.shape) for tensor in model.inputs] == [(None, 9)]


def test_metadata_alone_needs_metadata_and_joins_nothing() -> None:
    with raises_code("conflicting-options", "--arch metadata", "--metadata"):
        NetworkSpec(arch=Arch.METADATA, size=28, classes=3)
    with raises_code("option-not-applicable", "--join gates"):
        spec(arch=Arch.METADATA, join=Join.GATES)
