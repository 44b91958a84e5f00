"""A trained network that answers beside the labels: its pupil learns from both (distillation)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from trainer.runs.run_folder import load_softmax, read_run

Keras = Any  # tf_keras ships no types
Tensor = Any  # nor does TensorFlow
TINY = 1e-7  # below it a probability says nothing that a loss should count


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """Sees the very pictures that its pupil sees, changed alike."""

    network: Keras
    weights_sha256: str
    share: float  # of each target; the label has the rest

    def fingerprint(self) -> list[Any]:
        return [self.weights_sha256, self.share]

    def beside(self, targets: Tensor, inputs: Tensor, *, offsets: Sequence[float]) -> Tensor:
        """[n, k] targets, partly what the teacher says of the inputs [n, s, s, 3].

        The pupil's loss adds `offsets` to its logits, so the teacher's answer is moved by the same.
        """
        answers = self.network(self._at_its_size(inputs), training=False)
        logits = tf.math.log(tf.maximum(tf.cast(answers, tf.float32), TINY))
        moved = tf.nn.softmax(logits + tf.constant(offsets, tf.float32))
        return (1 - self.share) * targets + self.share * moved

    def _at_its_size(self, inputs: Tensor) -> Tensor:
        side = self.network.input_shape[1]
        return inputs if inputs.shape[1] == side else tf.image.resize(inputs, [side, side], antialias=True)


def load_teacher(folder: Path, *, share: float) -> Teacher:
    """The network of a run folder, as it was trained."""
    run = read_run(folder)
    return Teacher(network=load_softmax(run), weights_sha256=run.weights_sha256, share=share)
