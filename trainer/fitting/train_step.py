"""Provide one model in training: a step, predictions, and a state that can be restored."""

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
from trainer._private import SharedDropout, prepare_random_layers, synchronize_batch_norm
from trainer.distributed.strategy import SINGLE_REPLICA, ReplicaGroup, interleave
from trainer.fitting.plan import FitPlan

Array = NDArray[Any]
Keras = Any  # tf_keras ships no types
Tensor = Any
MIN_PROBABILITY = 1e-7  # an output that is not a plain softmax may be 0
EMA_LEAD = 10  # decay (1 + t) / (10 + t) at first: the initial weights must not dominate a short average


class TrainStep:
    """The variables of a fit; it uses only weights, inputs and outputs of a model, not its architecture."""

    def __init__(
        self,
        model: Keras,
        plan: FitPlan,
        *,
        logit_offsets: Sequence[float] = (0.0,),
        replicas: ReplicaGroup = SINGLE_REPLICA,
    ) -> None:
        self.model, self.plan, self.replicas = model, plan, replicas
        self.offsets = tf.constant(logit_offsets, tf.float32)
        self.trained = list(model.trainable_variables)
        if replicas.count > 1:
            synchronize_batch_norm(model, replicas=replicas.count)
        # Variables of the optimizer and the averages need a copy on every replica, as the weights have.
        with replicas.distribution.scope():
            self.optimizer = tf_keras.optimizers.Adam(plan.rate)
            self.optimizer.build(self.trained)
            averaged = self.trained if plan.ema else []
            self.averages = [tf.Variable(variable, trainable=False) for variable in averaged]
        self._generators = prepare_random_layers(model, replicas)
        self._step = tf.function(self._train, reduce_retracing=True, autograph=False)

        def predict(inputs: Tensor) -> Tensor:
            values = tf.cast(model(inputs, training=False), tf.float32)
            return tf.concat([1 - values, values], axis=-1) if values.shape[-1] == 1 else values

        run = partial(replicas.run_on_replicas, predict)
        self._predict = tf.function(run, reduce_retracing=True, autograph=False)

    def step(self, inputs: Tensor, targets: Tensor, weights: Tensor, *, rate: float) -> float:
        """Train on one batch; return its loss."""
        return float(self._step(inputs, targets, weights, tf.constant(rate, tf.float32)))

    def probabilities(self, batches: Any) -> Floats:
        """Return [n, k] of all examples, in their order."""
        predicted: Floats = np.concatenate([interleave(self._predict(inputs)) for inputs in batches])
        return predicted.astype(np.float64)

    def begin_epoch(self, epoch: int) -> None:
        """Seed the random layers by seed and epoch, so that a resumed fit draws the same numbers."""
        for index, generator in enumerate(self._generators):
            sequence = np.random.SeedSequence((self.plan.seed, epoch, index))
            generator.reset_from_seed(int(sequence.generate_state(1)[0]))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the model its averaged weights within the block, if the plan has them."""
        current = [self.replicas.local_value(variable) for variable in self.trained] if self.averages else []
        for variable, average in zip(self.trained, self.averages, strict=False):
            variable.assign(average)
        yield
        for variable, value in zip(self.trained, current, strict=False):
            variable.assign(value)

    def weights(self) -> dict[str, Array]:
        """Return the model's weights by number."""
        return self._values("model")

    def state(self) -> dict[str, Array]:
        """Return everything that the next step depends on."""
        return self._values("model", "optimizer", "average")

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Restore what `weights` or `state` returned."""
        for kind in {name.partition("/")[0] for name in arrays}:
            for name, variable in self._variables(kind):
                variable.assign(arrays[name])

    def _values(self, *kinds: str) -> dict[str, Array]:
        return {
            name: self.replicas.local_value(variable)
            for kind in kinds
            for name, variable in self._variables(kind)
        }

    def _variables(self, kind: str) -> list[tuple[str, Keras]]:
        optimizer = self.optimizer.variables
        variables = {"model": self.model.weights, "optimizer": optimizer, "average": self.averages}[kind]
        return [(f"{kind}/{index:04d}", variable) for index, variable in enumerate(variables)]

    def _train(self, inputs: Tensor, targets: Tensor, weights: Tensor, rate: Tensor) -> Tensor:
        # The rate is an input of the graph: a Python number would compile a new graph for every step.
        self.optimizer.learning_rate.assign(rate)
        # Shared dropout is drawn for the whole batch, before the replicas run.
        for generator in self._generators:
            if isinstance(generator, SharedDropout):
                generator.begin_step(targets.shape[0] * self.replicas.shard.count)
        loss = self.replicas.sum_over_replicas(self._learn, inputs, targets, weights)
        # A running average: it moves quickly at first, and with the decay of the plan later.
        if self.averages:
            done = tf.cast(self.optimizer.iterations, tf.float32)
            decay = tf.minimum(self.plan.ema, (1 + done) / (EMA_LEAD + done))
            for average, variable in zip(self.averages, self.trained, strict=True):
                average.assign_add((variable - average) * (1 - decay))
        return loss

    def _learn(self, inputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Compute one replica's part of the step and of the loss; the optimizer sums the gradients of all."""
        smoothing = self.plan.label_smoothing
        with tf.GradientTape() as tape:
            outputs = self.model(inputs, training=True)
            smooth = targets * (1 - smoothing) + smoothing / targets.shape[-1]
            losses = tf.nn.softmax_cross_entropy_with_logits(smooth, _logits(outputs) + self.offsets)
            loss = tf.reduce_mean(losses * weights)
            total = tf.add_n([loss, *self.model.losses]) if self.model.losses else loss
            # Replicas have equally many rows: the sum of their parts is the mean over the batch.
            part = total / self.replicas.count
        gradients = tape.gradient(part, self.trained)
        self.optimizer.apply_gradients(zip(gradients, self.trained, strict=True))
        return loss / self.replicas.count


def _logits(outputs: Tensor) -> Tensor:
    """Return [n, k] before the last activation, up to a constant per row.

    A softmax is left out where the graph has one: the loss of logits is exact, that of probabilities is not.
    A single output is the second of two classes.
    """
    kind = outputs.op.type
    if outputs.shape[-1] > 1:
        if kind == "Softmax":
            return outputs.op.inputs[0]
        return tf.math.log(tf.maximum(outputs, MIN_PROBABILITY))
    # sigmoid(x) is the second of softmax(0, x), so the first class gets the logit 0.
    if kind == "Sigmoid":
        second = outputs.op.inputs[0]
    else:
        inside = tf.clip_by_value(outputs, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
        second = tf.math.log(inside / (1 - inside))
    return tf.concat([tf.zeros_like(second), second], axis=-1)
