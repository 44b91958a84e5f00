"""Training for integers starts where float training ended, and keeps what the tutorial recipe loses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.metrics.intervals import top1_agreement
from dermpack.storage.files import sha256_of
from tests.support.errors import raises_code
from tests.support.integer_export import file_of
from tests.support.spread_network import spread
from tests.support.striped_dataset import examples, feed, trained_network

pytestmark = pytest.mark.tensorflow
Keras = Any
FLOAT_RATE = 0.02
UNTOUCHED = 6.0  # the range that tfmot gives every tensor at first, on both sides


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Keras:
    """Trained in float, its depthwise channels spread apart afterwards."""
    return spread(trained_network(tmp_path_factory.mktemp("float")))


@pytest.fixture(scope="module")
def says(network: Keras) -> Any:
    """What the float network says of 200 other pictures."""
    from trainer.fitting.loop import predict

    return predict(network, examples(200, seed=5))


@pytest.fixture(scope="module")
def start(network: Keras) -> Keras:
    """The network before its first step that sees integers."""
    from converter.qat.qat_network import build_qat_network

    return build_qat_network(network, pictures())


@pytest.fixture(scope="module")
def trained(network: Keras, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The network trained for integers in our way."""
    return train(network, tmp_path_factory.mktemp("aware"))


def train(network: Keras, folder: Path, *, epochs: int = 2, rate: float = FLOAT_RATE, **more: Any) -> Any:
    from converter.qat.qat_training import plan_training, train_aware

    plan = plan_training(rate=rate, seed=0, epochs=epochs)
    return train_aware(network, feed(), plan, folder, calibration=pictures(), **more)


def pictures() -> Any:
    return feed().train.copies[0][:64]


def agreement_of(model: Keras, says: Any) -> float:
    from trainer.fitting.loop import predict

    return top1_agreement(says, predict(model, examples(200, seed=5)))


def norms(model: Keras) -> list[Keras]:
    """The batch normalisation inside the wrappers."""
    import tf_keras

    inside = (getattr(layer, "layer", layer) for layer in model.layers)
    return [layer for layer in inside if isinstance(layer, tf_keras.layers.BatchNormalization)]


def test_the_tutorial_recipe_loses_the_weak_channels(network: Keras, says: Any, tmp_path: Path) -> None:
    import tensorflow_model_optimization as tfmot

    from converter.qat.qat_training import plan_training
    from trainer.fitting.loop import fit

    naive = tfmot.quantization.keras.quantize_model(network)
    fit(naive, feed(), plan_training(rate=FLOAT_RATE, seed=0, epochs=2), tmp_path)
    assert agreement_of(naive, says) < 0.8


def test_our_recipe_keeps_the_weak_channels(trained: Any, says: Any) -> None:
    assert agreement_of(trained.model, says) > 0.97


def test_training_starts_where_float_training_ended(start: Keras, says: Any) -> None:
    assert agreement_of(start, says) > 0.97


def test_every_range_is_set_before_the_first_step(start: Keras) -> None:
    limits = [layer.weights for layer in start.layers if hasattr(layer, "quantize_config")]
    named = {weight.name: weight.numpy() for weights in limits for weight in weights}
    ends = {name: value for name, value in named.items() if name.endswith(("_min:0", "_max:0"))}
    assert len(ends) > 20
    assert not any(np.any(np.abs(value) == UNTOUCHED) for value in ends.values())


def test_a_range_contains_the_values_of_the_pictures(network: Keras, start: Keras) -> None:
    import tf_keras

    inputs = np.float32(pictures()) / 127.5 - 1
    pooled = tf_keras.Model(network.input, network.get_layer("pool").output)(inputs).numpy()
    wrapper = start.get_layer("quant_pool")
    low, high = (float(wrapper._output_quantizer_vars[end]) for end in ("min_var", "max_var"))
    assert low <= 0
    assert 0.8 * pooled.max() <= high <= pooled.max()


def test_the_statistics_of_batch_normalisation_are_those_of_float_training(
    network: Keras, start: Keras
) -> None:
    from converter.qat.qat_network import equalize

    pairs = list(zip(norms(equalize(network)), norms(start), strict=True))
    assert len(pairs) == 5
    for one, other in pairs:
        for name in ("gamma", "moving_mean", "moving_variance"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_batch_normalisation_stays_while_kernels_train(start: Keras, trained: Any) -> None:
    before, after = (
        [weight for norm in norms(model) for weight in norm.get_weights()] for model in (start, trained.model)
    )
    assert len(before) == 4 * 5
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_no_channel_mean_is_lost_to_rounding(network: Keras, start: Keras) -> None:
    import tf_keras

    inputs = np.float32(pictures()[:32]) / 127.5 - 1
    for name in ("one_depthwise_bn", "two_depthwise_bn"):
        tensors = (network.get_layer(name).output, start.get_layer(f"quant_{name}").output)
        models = (
            tf_keras.Model(model.input, item) for model, item in zip((network, start), tensors, strict=True)
        )
        wanted, found = (model(inputs, training=False).numpy().mean(axis=(0, 1, 2)) for model in models)
        assert found == pytest.approx(wanted, abs=1e-4)


def test_kernels_do_train(network: Keras, tmp_path: Path) -> None:
    import tf_keras

    from converter.qat.qat_network import build_qat_network
    from trainer.fitting.loop import fit
    from trainer.fitting.plan import FitPlan

    frozen = tf_keras.models.clone_model(network)
    frozen.set_weights(network.get_weights())
    frozen.get_layer("stem").trainable = False
    aware = build_qat_network(frozen, pictures())
    before = {weight.name: weight.numpy() for weight in aware.weights}
    fit(aware, feed(), FitPlan(name="aware", epochs=1, rate=0.01, seed=0), tmp_path)
    moved = {weight.name for weight in aware.weights if not np.array_equal(weight, before[weight.name])}
    assert "two_project/kernel:0" in moved
    assert "stem/kernel:0" not in moved


def test_the_file_predicts_what_the_trained_network_predicts(trained: Any) -> None:
    import tensorflow as tf

    from converter.quantize.tflite_conversion import IoType, Quantization, convert, freeze
    from trainer.fitting.loop import predict

    data = convert(freeze(trained.model), Quantization.INT8, io=IoType.UINT8)
    interpreter = tf.lite.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    entrance, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    requested = examples(64, seed=6)
    answers = []
    for picture in requested.copies[0]:
        interpreter.set_tensor(entrance["index"], picture[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(exit_["index"])[0] / 256)
    assert entrance["quantization"] == (pytest.approx(1 / 127.5), 128)
    seen = predict(trained.model, requested)
    assert top1_agreement(seen, requested.predictions(np.array(answers))) > 0.95
    assert np.abs(seen.probabilities - answers).mean() < 0.02


class _StoppedError(Exception):
    pass


def test_an_interrupted_training_continues(network: Keras, trained: Any, tmp_path: Path) -> None:
    def stop(moment: Any) -> None:
        if moment.epoch == 2:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        train(network, tmp_path, on_progress=stop)
    again = train(network, tmp_path)  # from the end of the first epoch
    assert again.fitted == trained.fitted
    pairs = zip(again.model.get_weights(), trained.model.get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_bad_start_can_be_refused_before_any_epoch(network: Keras, tmp_path: Path) -> None:
    def refuse(zero_epoch: Any) -> None:
        assert len(zero_epoch) == len(feed().validation)
        raise _StoppedError

    with pytest.raises(_StoppedError):
        train(network, tmp_path, on_zero_epoch=refuse)
    assert not list(tmp_path.iterdir())


def test_each_network_has_a_checkpoint_of_its_own(network: Keras, tmp_path: Path) -> None:
    other = spread(network)
    head = other.get_layer("predictions")
    head.set_weights([2 * weight for weight in head.get_weights()])
    for model in (network, other, network):
        train(model, tmp_path, epochs=0)
    assert len(list(tmp_path.iterdir())) == 2


def test_epochs_that_only_harm_are_dropped(network: Keras, tmp_path: Path) -> None:
    from trainer.fitting.loop import predict

    harmed = train(network, tmp_path, epochs=1, rate=50.0)
    assert harmed.fitted.history[0].validation["balanced_accuracy"] < 0.5
    assert harmed.best_epoch == 0
    kept = predict(harmed.model, feed().validation)
    assert np.array_equal(kept.probabilities, harmed.zero_epoch.probabilities)


def test_a_layer_that_cannot_be_quantized_is_one_line() -> None:
    import tf_keras

    from converter.qat.qat_network import build_qat_network

    pixels = tf_keras.Input((24, 24, 3))
    model = tf_keras.Model(pixels, tf_keras.layers.Multiply()([pixels, pixels]), name="squares")
    with raises_code("qat-not-supported", "squares: ", "--method ptq"):
        build_qat_network(model, pictures())


def test_two_processes_make_the_same_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.integer_export", str(tmp_path / "other")]
    other = subprocess.run(command, capture_output=True, text=True, check=True)
    assert sha256_of(file_of(tmp_path / "own")) == other.stdout.strip()


def test_an_unsupported_network_is_refused(tmp_path: Path) -> None:
    from converter.qat.qat_training import refuse_unsupported
    from trainer.recipe.network_spec import Arch

    with raises_code("qat-not-supported", "EfficientNet", "--method ptq"):
        refuse_unsupported(tmp_path, Arch.EFFICIENTNET_B0.qat_refusal or "")
    refuse_unsupported(tmp_path, Arch.MOBILENET_V2.qat_refusal or "")
