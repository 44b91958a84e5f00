"""One model in training: a step, a prediction, and a state that can be kept and put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from dermpack.scores.predictions import Floats
from trainer.plan import Plan

Array = NDArray[Any]
Keras = Any  # tf_keras ships no types
Tensor = Any
TINY = 1e-7  # an output that is no plain softmax may be 0
EMA_LEAD = 10  # (1 + t) / (10 + t): an average of few steps must not be held by the first weights


class Learner:
    """Holds the variables of a fit; knows of a model only its weights, inputs and outputs."""

    def __init__(self, model: Keras, plan: Plan, *, logit_offsets: Sequence[float] = (0.0,)) -> None:
        self.model, self.plan = model, plan
        self.offsets = tf.constant(logit_offsets, tf.float32)
        self.trained = list(model.trainable_variables)
        self.optimizer = tf_keras.optimizers.Adam(plan.rate)
        self.optimizer.build(self.trained)
        averages = self.trained if plan.ema else []
        self.averages = [tf.Variable(variable, trainable=False) for variable in averages]
        self._generators = [_own_generator(layer) for layer in _random_layers(model)]
        self._step = tf.function(self._train, reduce_retracing=True)
        self._predict = tf.function(_outputs_of(model), reduce_retracing=True)

    def step(self, inputs: Tensor, targets: Tensor, weights: Tensor, *, rate: float) -> float:
        """Train on one batch; answer its loss."""
        return float(self._step(inputs, targets, weights, tf.constant(rate, tf.float32)))

    def probabilities(self, batches: Any) -> Floats:
        """[n, k] of all examples, in their order."""
        found: Floats = np.concatenate([self._predict(inputs).numpy() for inputs in batches]).astype(
            np.float64
        )
        return found

    def begin_epoch(self, epoch: int) -> None:
        """Random layers draw by seed and epoch, however the fit came here."""
        for at, generator in enumerate(self._generators):
            generator.reset_from_seed(
                int(np.random.SeedSequence((self.plan.seed, epoch, at)).generate_state(1)[0])
            )

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block the model has its averaged weights, where there are any."""
        kept = [variable.numpy() for variable in self.trained] if self.averages else []
        for variable, average in zip(self.trained, self.averages, strict=False):
            variable.assign(average)
        yield
        for variable, value in zip(self.trained, kept, strict=False):
            variable.assign(value)

    def weights(self) -> dict[str, Array]:
        return _numbered("model", self.model.weights)

    def state(self) -> dict[str, Array]:
        """Everything that the next step depends on."""
        optimizer = _numbered("optimizer", self.optimizer.variables)
        return {**self.weights(), **optimizer, **_numbered("average", self.averages)}

    def set_state(self, arrays: Mapping[str, Array]) -> None:
        _assign("model", self.model.weights, arrays)
        _assign("optimizer", self.optimizer.variables, arrays)
        _assign("average", self.averages, arrays)

    def set_weights(self, arrays: Mapping[str, Array]) -> None:
        _assign("model", self.model.weights, arrays)

    def _train(self, inputs: Tensor, targets: Tensor, weights: Tensor, rate: Tensor) -> Tensor:
        self.optimizer.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            outputs = self.model(inputs, training=True)
            loss = tf.reduce_mean(self._losses(outputs, targets) * weights)
            total = tf.add_n([loss, *self.model.losses]) if self.model.losses else loss
        gradients = tape.gradient(total, self.trained)
        self.optimizer.apply_gradients(zip(gradients, self.trained, strict=True))
        self._average()
        return loss

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each example."""
        smoothing = self.plan.label_smoothing
        smooth = targets * (1 - smoothing) + smoothing / targets.shape[-1]
        return tf.nn.softmax_cross_entropy_with_logits(smooth, _logits(outputs) + self.offsets)

    def _average(self) -> None:
        if not self.averages:
            return
        done = tf.cast(self.optimizer.iterations, tf.float32)
        decay = tf.minimum(self.plan.ema, (1 + done) / (EMA_LEAD + done))
        for average, variable in zip(self.averages, self.trained, strict=True):
            average.assign_add((variable - average) * (1 - decay))


def _logits(outputs: Tensor) -> Tensor:
    """[n, k] before the last activation, up to a constant a row; one output is the second of two classes."""
    kind = outputs.op.type
    if outputs.shape[-1] > 1:
        return outputs.op.inputs[0] if kind == "Softmax" else tf.math.log(tf.maximum(outputs, TINY))
    inside = tf.clip_by_value(outputs, TINY, 1 - TINY)
    second = outputs.op.inputs[0] if kind == "Sigmoid" else tf.math.log(inside / (1 - inside))
    return tf.concat([tf.zeros_like(second), second], axis=-1)


def _outputs_of(model: Keras) -> Any:
    def outputs(inputs: Tensor) -> Tensor:
        values = tf.cast(model(inputs, training=False), tf.float32)
        return tf.concat([1 - values, values], axis=-1) if values.shape[-1] == 1 else values

    return outputs


def _random_layers(model: Keras) -> Iterator[Keras]:
    layers = (layer for layer in model._flatten_layers() if hasattr(layer, "_random_generator"))
    return (layer for layer in layers if not isinstance(layer, tf_keras.Model))


def _own_generator(layer: Keras) -> Any:
    """Give the layer a generator whose state can be set; Keras's own way to draw cannot be taken up again."""
    source = layer._random_generator
    if getattr(source, "_generator", None) is None:
        source._rng_type, source._built = source.RNG_STATEFUL, False
        source._maybe_init()
    return source._generator


def _numbered(kind: str, variables: Any) -> dict[str, Array]:
    return {f"{kind}/{at:04d}": np.asarray(variable.numpy()) for at, variable in enumerate(variables)}


def _assign(kind: str, variables: Any, arrays: Mapping[str, Array]) -> None:
    for at, variable in enumerate(variables):
        variable.assign(arrays[f"{kind}/{at:04d}"])
