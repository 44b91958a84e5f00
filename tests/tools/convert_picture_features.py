"""Convert the published MobileNetV2 0.35 to trainer/datasets/picture_features.tflite.

    python -m tests.tools.convert_picture_features WEIGHTS.h5 OUTPUT.tflite

Float16 halves the file; it is interpreted in float32, and its features differ from those of the float32 file
by less than the rounding of the cache. int8 would need pictures to calibrate.
"""

from __future__ import annotations

import sys
from pathlib import Path


def convert(weights: Path) -> bytes:
    """Return the .tflite of the network without its classes, with the mean over the last feature maps."""
    import tensorflow as tf
    import tf_keras

    base = tf_keras.applications.MobileNetV2(
        include_top=False, alpha=0.35, weights=str(weights), input_shape=(224, 224, 3)
    )
    pooled = tf_keras.layers.GlobalAveragePooling2D()(base.output)
    converter = tf.lite.TFLiteConverter.from_keras_model(tf_keras.Model(base.input, pooled))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(convert(Path(sys.argv[1])))
