"""Cutting: what trains, where the network is cut, and that both halves are the whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dermpack.errors import InputError
from tests.support.errors import raises_code
from trainer.recipe.network_spec import Arch, NetworkSpec, Weights

pytestmark = pytest.mark.tensorflow

SIZE = 96
PLAIN = NetworkSpec(arch=Arch.SCRATCH_CNN, size=SIZE, classes=3, filters=(4, 6, 8))


def made(spec: NetworkSpec) -> Any:
    from trainer.model.network import build_network

    return build_network(spec, weights=Weights.NONE, seed=0)


@pytest.fixture(scope="module")
def mobilenet() -> Any:
    return made(NetworkSpec(alpha=0.35, size=SIZE, classes=3))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(Arch.MOBILENET_V2),
        pytest.param(Arch.SCRATCH_CNN),
        pytest.param(Arch.EFFICIENTNET_B0, marks=pytest.mark.slow),
        pytest.param(Arch.RESNET50, marks=pytest.mark.slow),
    ],
)
def model(request: pytest.FixtureRequest) -> Iterator[Any]:
    arch: Arch = request.param
    if arch is Arch.MOBILENET_V2:
        yield request.getfixturevalue("mobilenet")
    else:
        yield made(PLAIN if arch is Arch.SCRATCH_CNN else NetworkSpec(arch=arch, size=SIZE, classes=3))


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, (4, SIZE, SIZE, 3)).astype(np.float32)


@pytest.mark.parametrize("count", [0, 3, 25, 55])
def test_the_rest_after_the_trunk_is_the_whole(model: Any, pixels: NDArray[np.float32], count: int) -> None:
    from trainer.model.freezing import find_boundary, freeze_below, split_model

    freeze_below(model, count)
    trunk, rest = split_model(model, find_boundary(model))
    whole = model(pixels, training=False).numpy()
    np.testing.assert_allclose(rest(trunk(pixels)).numpy(), whole, atol=1e-6)


def test_both_halves_are_flat(mobilenet: Any) -> None:
    import tf_keras

    from trainer.model.freezing import split_model

    halves = split_model(mobilenet, "block_10_project_BN")
    assert not [layer for half in halves for layer in half.layers if isinstance(layer, tf_keras.Model)]


def test_nothing_below_the_cut_trains_and_everything_above_is_in_the_rest(mobilenet: Any) -> None:
    from trainer.model.freezing import find_boundary, freeze_below, split_model

    freeze_below(mobilenet, 55)
    trunk, rest = split_model(mobilenet, find_boundary(mobilenet))
    assert trunk.trainable_weights == []
    assert len(rest.trainable_weights) == len(mobilenet.trainable_weights)


def test_the_top_layers_are_counted_as_keras_counts_them(mobilenet: Any) -> None:
    import tf_keras

    from trainer.model.freezing import freeze_below

    freeze_below(mobilenet, 55)
    keras = tf_keras.applications.MobileNetV2(
        alpha=0.35, include_top=False, weights=None, input_shape=(SIZE, SIZE, 3)
    )
    names = {layer.name for layer in keras.layers[-55:] if layer.count_params() and "BN" not in layer.name}
    trained = {layer.name for layer in mobilenet.layers if layer.trainable_weights}
    assert trained == {*names - {"Conv_1_bn"}, "predictions"}


@pytest.mark.parametrize(
    ("count", "cut"),
    [
        (0, "pool"),
        (1, "pool"),
        (25, "block_13_project_BN"),
        (55, "block_10_project_BN"),
        (100, "block_5_add"),
    ],
)
def test_the_cut_lies_where_one_tensor_crosses(mobilenet: Any, count: int, cut: str) -> None:
    from trainer.model.freezing import find_boundary, freeze_below

    freeze_below(mobilenet, count)
    assert find_boundary(mobilenet) == cut


def test_where_everything_trains_nothing_lies_below(mobilenet: Any) -> None:
    from trainer.model.freezing import find_boundary, freeze_below

    freeze_below(mobilenet, None)
    assert find_boundary(mobilenet) == "pixels"


def test_more_layers_than_there_are_is_all(mobilenet: Any) -> None:
    from trainer.model.freezing import freeze_below

    freeze_below(mobilenet, None)
    everything = [layer.trainable for layer in mobilenet.layers]
    freeze_below(mobilenet, 9999)
    assert [layer.trainable for layer in mobilenet.layers] == everything


def test_a_negative_count_is_refused(mobilenet: Any) -> None:
    from trainer.model.freezing import freeze_below

    with raises_code("invalid-option", "--fine-tune -1") as raised:
        freeze_below(mobilenet, -1)
    assert isinstance(raised.value, InputError)


def test_training_the_rest_trains_the_whole(pixels: NDArray[np.float32]) -> None:
    import tf_keras

    from trainer.model.freezing import find_boundary, freeze_below, split_model
    from trainer.model.weights import named_weights

    model = made(PLAIN)
    freeze_below(model, 4)
    trunk, rest = split_model(model, find_boundary(model))
    before = named_weights(model)
    rest.compile(tf_keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    rest.fit(trunk(pixels), np.array([0, 1, 2, 0]), verbose=0)
    after = named_weights(model)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"block_3_conv/kernel", "predictions/kernel", "predictions/bias"}


def test_frozen_batch_normalisation_keeps_its_statistics_and_infers(pixels: NDArray[np.float32]) -> None:
    from trainer.model.freezing import freeze_below
    from trainer.model.weights import named_weights

    model = made(NetworkSpec(arch=Arch.SCRATCH_CNN, size=SIZE, classes=3, dropout=0.0))
    freeze_below(model, None)
    before = named_weights(model)
    trained = model(pixels, training=True).numpy()
    assert np.array_equal(trained, model(pixels, training=False).numpy())
    after = named_weights(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_from_nothing_batch_normalisation_trains_too() -> None:
    from trainer.model.freezing import unfreeze_all

    model = made(PLAIN)
    unfreeze_all(model)
    assert any(weight.name.endswith("gamma:0") for weight in model.trainable_weights)


@pytest.mark.slow
def test_the_input_map_never_trains_and_is_not_worth_a_cut() -> None:
    from trainer.model.freezing import find_boundary, freeze_below, unfreeze_all

    model = made(NetworkSpec(arch=Arch.RESNET50, size=SIZE, classes=3))
    unfreeze_all(model)
    assert not model.get_layer("input_map").trainable
    freeze_below(model, None)
    assert not model.get_layer("input_map").trainable
    assert find_boundary(model) == "pixels"


def test_features_are_the_pooled_output_of_the_backbone(mobilenet: Any) -> None:
    from trainer.model.freezing import POOL, split_model

    assert split_model(mobilenet, POOL)[0].output_shape == (None, 1280)


def test_from_nothing_batch_normalisation_forgets_its_start_within_a_hundred_steps() -> None:
    from trainer.model.freezing import POOL, split_model, unfreeze_all

    model = made(NetworkSpec(arch=Arch.MOBILENET_V2, alpha=0.35, size=SIZE, classes=2))
    unfreeze_all(model)
    trunk = split_model(model, POOL)[0]
    pixels = np.random.default_rng(0).uniform(-1, 1, (4, SIZE, SIZE, 3)).astype(np.float32)
    for _ in range(100):
        trained = trunk(pixels, training=True).numpy()
    inferred = trunk(pixels, training=False).numpy()
    assert np.corrcoef(trained.ravel(), inferred.ravel())[0, 1] > 0.5  # at Keras's momentum it is 0.0
