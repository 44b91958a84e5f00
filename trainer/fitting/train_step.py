"""One model in training: a step, a prediction, and a state that can be kept and put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from dermpack.metrics.predictions import Floats
from trainer.distributed.replicas import ALONE, ReplicaGroup, together
from trainer.fitting.plan import FitPlan
from trainer.model.dropout_rng import SharedDropout, chances
from trainer.model.sync_batch_norm import see_whole_batch

Array = NDArray[Any]
Keras = Any  # tf_keras ships no types
Tensor = Any
TINY = 1e-7  # an output that is no plain softmax may be 0
EMA_LEAD = 10  # (1 + t) / (10 + t): an average of few steps must not be held by the first weights


class TrainStep:
    """Holds the variables of a fit; knows of a model only its weights, inputs and outputs."""

    def __init__(
        self,
        model: Keras,
        plan: FitPlan,
        *,
        logit_offsets: Sequence[float] = (0.0,),
        team: ReplicaGroup = ALONE,
    ) -> None:
        self.model, self.plan, self.team = model, plan, team
        self.offsets = tf.constant(logit_offsets, tf.float32)
        self.trained = list(model.trainable_variables)
        if team.replicas > 1:
            see_whole_batch(model, replicas=team.replicas)
        with team.scope():
            self.optimizer = tf_keras.optimizers.Adam(plan.rate)
            self.optimizer.build(self.trained)
            averages = self.trained if plan.ema else []
            self.averages = [tf.Variable(variable, trainable=False) for variable in averages]
        self._chances = chances(model, team)
        self._step = tf.function(self._train, reduce_retracing=True)
        self._predict = tf.function(partial(team.of_each, _outputs_of(model)), reduce_retracing=True)

    def step(self, inputs: Tensor, targets: Tensor, weights: Tensor, *, rate: float) -> float:
        """Train on one batch; answer its loss."""
        return float(self._step(inputs, targets, weights, tf.constant(rate, tf.float32)))

    def probabilities(self, batches: Any) -> Floats:
        """[n, k] of all examples, in their order."""
        found: Floats = np.concatenate([together(self._predict(inputs)) for inputs in batches])
        return found.astype(np.float64)

    def begin_epoch(self, epoch: int) -> None:
        """Random layers draw by seed and epoch, however the fit came here."""
        for at, chance in enumerate(self._chances):
            chance.reset_from_seed(
                int(np.random.SeedSequence((self.plan.seed, epoch, at)).generate_state(1)[0])
            )

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block the model has its averaged weights, where there are any."""
        kept = [self.team.value(variable) for variable in self.trained] if self.averages else []
        for variable, average in zip(self.trained, self.averages, strict=False):
            variable.assign(average)
        yield
        for variable, value in zip(self.trained, kept, strict=False):
            variable.assign(value)

    def weights(self) -> dict[str, Array]:
        return self._numbered("model", self.model.weights)

    def state(self) -> dict[str, Array]:
        """Everything that the next step depends on."""
        optimizer = self._numbered("optimizer", self.optimizer.variables)
        return {**self.weights(), **optimizer, **self._numbered("average", self.averages)}

    def _numbered(self, kind: str, variables: Any) -> dict[str, Array]:
        return {f"{kind}/{at:04d}": self.team.value(variable) for at, variable in enumerate(variables)}

    def set_state(self, arrays: Mapping[str, Array]) -> None:
        _assign("model", self.model.weights, arrays)
        _assign("optimizer", self.optimizer.variables, arrays)
        _assign("average", self.averages, arrays)

    def set_weights(self, arrays: Mapping[str, Array]) -> None:
        _assign("model", self.model.weights, arrays)

    def _train(self, inputs: Tensor, targets: Tensor, weights: Tensor, rate: Tensor) -> Tensor:
        self.optimizer.learning_rate.assign(rate)
        for chance in self._chances:
            if isinstance(chance, SharedDropout):
                chance.begin_step(inputs.shape[0] * self.team.part.of)
        loss = self.team.total(self._learn, inputs, targets, weights)
        self._average()
        return loss

    def _learn(self, inputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """One replica's part of the step, and of the loss; the optimizer adds up the gradients of all."""
        with tf.GradientTape() as tape:
            outputs = self.model(inputs, training=True)
            loss = tf.reduce_mean(self._losses(outputs, targets) * weights)
            total = tf.add_n([loss, *self.model.losses]) if self.model.losses else loss
            part = total / self.team.replicas
        gradients = tape.gradient(part, self.trained)
        self.optimizer.apply_gradients(zip(gradients, self.trained, strict=True))
        return loss / self.team.replicas

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


def _assign(kind: str, variables: Any, arrays: Mapping[str, Array]) -> None:
    for at, variable in enumerate(variables):
        variable.assign(arrays[f"{kind}/{at:04d}"])
