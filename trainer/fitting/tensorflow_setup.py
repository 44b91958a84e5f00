"""Set TensorFlow up once, so that the same seed gives the same weights."""

from __future__ import annotations

import os
from importlib.metadata import version

import tensorflow as tf
import tf_keras

from dermpack.errors import InputError
from trainer.recipe.recipe import Precision

PACKAGES = ("dermpack", "tensorflow", "tf_keras", "numpy", "pillow")


def set_up(*, seed: int, threads: int, precision: Precision) -> None:
    """Deterministic operations, seeds, threads, and what new layers compute in."""
    tf.config.experimental.enable_op_determinism()
    tf_keras.utils.set_random_seed(seed)
    policy = "float32" if precision is Precision.FLOAT32 else "mixed_bfloat16"
    tf_keras.mixed_precision.set_global_policy(policy)
    if threads and tf.config.threading.get_intra_op_parallelism_threads() != threads:
        _set_threads(threads)


def processors(threads: int) -> int:
    """How many processes may work at once."""
    return threads or len(os.sched_getaffinity(0))


def versions() -> dict[str, str]:
    """Of everything that decides the weights."""
    return {package: version(package) for package in PACKAGES}


def _set_threads(threads: int) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        what = "cannot be set after TensorFlow was initialized"
        hint = "Use one number of threads for all trainings of a process."
        raise InputError(f"--threads {threads}", what, hint, code="threads-already-set") from error
