"""Distillation: a trained network whose predictions are part of the targets of another network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from trainer.runs.run_folder import load_softmax, read_run

Keras = Any  # tf_keras ships no types
Tensor = Any  # nor does TensorFlow
MIN_PROBABILITY = 1e-7  # below it a logarithm would dominate the loss


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """A trained network that gets the same augmented pictures as the network that is trained."""

    network: Keras
    weights_sha256: str
    share: float  # of each target; the label has the rest

    def fingerprint(self) -> list[Any]:
        """Return what decides its predictions, for a checkpoint to compare."""
        return [self.weights_sha256, self.share]

    def blend_targets(self, targets: Tensor, inputs: Tensor, *, offsets: Sequence[float]) -> Tensor:
        """Return targets [n, k], partly the teacher's predictions for the inputs [n, s, s, 3].

        The loss adds `offsets` to the logits of the trained network, so they are added to the teacher's too.
        """
        side = self.network.input_shape[1]
        if inputs.shape[1] != side:
            # The teacher takes the same augmented picture; only the size of its input may differ.
            inputs = tf.image.resize(inputs, [side, side], antialias=True)
        probabilities = tf.cast(self.network(inputs, training=False), tf.float32)
        logits = tf.math.log(tf.maximum(probabilities, MIN_PROBABILITY))
        predictions = tf.nn.softmax(logits + tf.constant(offsets, tf.float32))
        return (1 - self.share) * targets + self.share * predictions


def load_teacher(folder: Path, *, share: float) -> Teacher:
    """Return the network of a run folder as a teacher."""
    run = read_run(folder)
    return Teacher(network=load_softmax(run), weights_sha256=run.weights_sha256, share=share)
