"""Write models with Keras itself: `python -m tests.support.keras_writers LIBRARY FOLDER small|mobilenet`.

Each library runs in a process of its own, as it would at another person's desk.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

SIDE, LABELS = 96, 3  # the least side of MobileNetV2
ENDINGS = ("keras", "h5")
Keras = Any


def example_pictures() -> Any:
    """Return two pictures as the models take them: float32, 0 to 255."""
    return np.random.default_rng(3).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.float32)


def backbone(keras: Keras, kind: str) -> Keras:
    """Return the network below the head: a few layers of the kinds of MobileNetV2, or MobileNetV2 itself."""
    layers, shape = keras.layers, (SIDE, SIDE, 3)
    if kind == "mobilenet":
        return keras.applications.MobileNetV2(input_shape=shape, alpha=0.35, include_top=False, weights=None)
    picture = keras.Input(shape)
    tensor = layers.Conv2D(6, 3, strides=4, padding="same", use_bias=False, name="Conv1")(picture)
    tensor = layers.ReLU(6.0)(layers.BatchNormalization(name="bn_Conv1")(tensor))
    padded = layers.ZeroPadding2D(((0, 1), (0, 1)))(tensor)
    deep = layers.DepthwiseConv2D(3, strides=2, use_bias=False, name="depthwise")(padded)
    deep = layers.BatchNormalization(name="depthwise_BN")(deep)
    deep = layers.Conv2D(6, 1, use_bias=False, name="project")(layers.ReLU(6.0)(deep))
    deep = layers.BatchNormalization(name="project_BN")(deep)
    tensor = layers.Add()([layers.MaxPooling2D(2)(tensor), deep])
    return keras.Model(picture, tensor, name="backbone")


def nested_model(keras: Keras, preprocess: str, kind: str = "small") -> Keras:
    """Return a transfer learning: augmentation, preprocessing, a partly frozen backbone, logits."""
    layers, base = keras.layers, backbone(keras, kind)
    base.trainable = False
    for layer in base.layers[len(base.layers) // 2 :]:
        layer.trainable = True
    augment = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)], name="augment")
    picture = keras.Input((SIDE, SIDE, 3))
    tensor = augment(picture)
    if preprocess == "rescaling":
        tensor = layers.Rescaling(1 / 127.5, offset=-1)(tensor)
    else:
        # -1..1 by operators, or the mean of ImageNet and BGR
        tensor = getattr(keras.applications, preprocess).preprocess_input(tensor)
    tensor = layers.GlobalAveragePooling2D()(base(tensor, training=False))
    return keras.Model(picture, layers.Dense(LABELS)(layers.Dropout(0.2)(tensor)))


def teachable_machine(keras: Keras) -> Keras:
    """Return sequential models in a sequential model, as Teachable Machine exports them."""
    layers = keras.layers
    features = keras.Sequential([backbone(keras, "small"), layers.GlobalAveragePooling2D()])
    head = keras.Sequential([layers.Dense(10, activation="relu"), layers.Dense(LABELS, activation="softmax")])
    model = keras.Sequential([features, head])
    model.build((None, SIDE, SIDE, 3))
    return model


def plain_model(keras: Keras) -> Keras:
    """Return a small network of many kinds of layers, one of them shared, with a sigmoid."""
    layers = keras.layers
    picture = keras.Input((SIDE, SIDE, 3))
    tensor = layers.Rescaling(1 / 255)(layers.RandomFlip()(picture))
    tensor = layers.ZeroPadding2D(((0, 1), (0, 1)))(tensor)
    tensor = layers.Conv2D(8, 3, strides=2, activation="relu")(tensor)
    shared = layers.SeparableConv2D(8, 3, padding="same", activation="relu")
    tensor = layers.Add()([shared(tensor), shared(layers.MaxPooling2D(1)(tensor))])
    tensor = layers.LeakyReLU()(layers.BatchNormalization()(tensor))
    other = layers.Activation("relu6")(layers.DepthwiseConv2D(3, padding="same")(tensor))
    tensor = layers.Concatenate()([layers.ReLU(max_value=6.0)(tensor), other])
    tensor = layers.AveragePooling2D(4)(layers.Cropping2D(1)(tensor))
    tensor = layers.Flatten()(layers.GaussianNoise(0.1)(tensor))
    tensor = layers.Dense(1, activation="sigmoid")(layers.Dropout(0.5)(tensor))
    return keras.Model(picture, tensor)


def scramble(model: Keras, normalizations: Any) -> None:
    """Draw the statistics of batch normalization, so that a swap of variables shows."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if hasattr(layer, "layers"):
            scramble(layer, normalizations)
        elif isinstance(layer, normalizations):
            arrays = [0.1 * rng.standard_normal(array.shape) for array in layer.get_weights()]
            layer.set_weights([array + (number in (0, 3)) for number, array in enumerate(arrays)])


def write_models(library: str, folder: Path, kind: str) -> None:
    """Write every model in both formats, and what it returns for the example pictures."""
    keras = import_module(library)
    keras.utils.set_random_seed(1)
    if kind == "mobilenet":
        models = {
            "mobilenet": nested_model(keras, "mobilenet_v2", kind),
            "rescaled": nested_model(keras, "rescaling", kind),
        }
    else:
        models = {
            "operators": nested_model(keras, "mobilenet_v2"),
            "rescaling": nested_model(keras, "rescaling"),
            "caffe": nested_model(keras, "resnet50"),
            "torch": nested_model(keras, "densenet"),
            "teachable": teachable_machine(keras),
            "plain": plain_model(keras),
        }
    answers = {}
    for name, model in models.items():
        scramble(model, keras.layers.BatchNormalization)
        for ending in ENDINGS:
            # tf_keras cannot write the index [..., ::-1] to a .keras file.
            if (library, name, ending) != ("tf_keras", "caffe", "keras"):
                model.save(folder / f"{name}.{ending}")
        answers[name] = np.asarray(model(example_pictures(), training=False), np.float64).tolist()
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    write_models(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
