"""Make float .tflite files as other programs write them, and pictures that they classify.

The level of red decides the label, so a file answers correctly only if it is fed as it expects.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermpack.dataset.manifest import Dataset, Manifest, Picture, Split, write_dataset
from dermpack.storage.files import sha256_file

SIZE = 32
LABELS = ("nv", "akiec", "mel")  # not sorted: files of other programs have any order
LEVELS = (0.2, 0.5, 0.8)  # of red, from 0 to 1, for the labels in this order
SHARPNESS, FAR = 10.0, -9.0
MEDIUM = (127.5, 127.5, 127.5)
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
SPLITS = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TRAIN, Split.TEST)


@cache
def foreign_file(
    *,
    head: str = "softmax",  # or logits, sigmoid (two labels)
    layout: str = "NHWC",
    color: str = "RGB",
    labels: int = 3,
    mean: tuple[float, ...] = MEDIUM,  # in the order of the file's channels
    std: tuple[float, ...] = MEDIUM,
    is_batch_fixed: bool = False,
    spare_features: int = 0,  # between the last maps and the labels; they are 0 and enlarge the file
) -> bytes:
    """Return a float network that undoes its normalization first."""
    import tensorflow as tf

    rises = np.zeros((1, 1, 3, 6), np.float32)
    rises[0, 0, 2 if color == "BGR" else 0] = [SHARPNESS] * 3 + [-SHARPNESS] * 3
    offsets = SHARPNESS * np.array([*(-level for level in LEVELS), *LEVELS], np.float32)
    mixing, bias = np.zeros((6, max(labels, 3)), np.float32), np.full(max(labels, 3), FAR, np.float32)
    mixing[:3, :3] = mixing[3:, :3] = -2 * np.eye(3)
    bias[:3] = 0
    if head == "sigmoid":
        mixing, bias, labels = (
            np.array([[0], [2], [0], [0], [-2], [0]], np.float32),
            np.zeros(1, np.float32),
            1,
        )
    widening = np.eye(6, 6 + spare_features, dtype=np.float32)
    mixing = np.pad(mixing, ((0, spare_features), (0, 0)))
    scale, offset = (tf.constant(values, tf.float32) for values in (std, mean))

    def classify(pictures: Any) -> Any:
        if layout == "NCHW":
            pictures = tf.transpose(pictures, [0, 2, 3, 1])
        shares = (pictures * scale + offset) / 255
        maps = tf.nn.relu6(tf.nn.conv2d(shares, rises, strides=1, padding="SAME") + offsets)
        maps = tf.nn.depthwise_conv2d(maps, np.full((2, 2, 6, 1), 0.25, np.float32), [1, 2, 2, 1], "VALID")
        features = tf.reduce_mean(maps, [1, 2])
        if spare_features:
            features = tf.matmul(features, widening)
        scores = tf.matmul(features, mixing[:, :labels]) + bias[:labels]
        return {"softmax": tf.nn.softmax, "sigmoid": tf.nn.sigmoid, "logits": tf.identity}[head](scores)

    sides = (3, SIZE, SIZE) if layout == "NCHW" else (SIZE, SIZE, 3)
    signature = [tf.TensorSpec((1 if is_batch_fixed else None, *sides), tf.float32)]
    function = tf.function(classify, input_signature=signature).get_concrete_function()
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())


def levelled_pictures(
    count: int, *, seed: int = 0, width: int = SIZE
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pictures, uint8 [n, size, width, 3], and their labels, which the level of red decides."""
    generator = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    pictures = np.empty((count, SIZE, width, 3))
    pictures[:] = generator.integers(0, 256, (count, 1, 1, 3))
    pictures[..., 0] = (255 * np.array(LEVELS)[truth])[:, None, None]
    pictures += generator.normal(0, 12, pictures.shape)
    return np.clip(pictures, 0, 255).astype(np.uint8), truth


def write_levelled(
    folder: Path, *, count: int = 150, labels: tuple[str, ...] = LABELS, width: int = SIZE
) -> Path:
    """Write a dataset of such pictures; of five, three train, one validates and one tests."""
    folder.mkdir(parents=True)
    pixels, truth = levelled_pictures(count, width=width)
    pictures = []
    for index in range(count):
        path = folder / f"{index:03}.png"
        Image.fromarray(pixels[index]).save(path)
        pictures.append(
            Picture(
                path=path.name,
                sha256=sha256_file(path),
                width=width,
                height=SIZE,
                label=labels[min(truth[index], len(labels) - 1)],
                split=SPLITS[index // 3 % len(SPLITS)],
                group=path.stem,
                cluster="",
                metadata=(),
            )
        )
    manifest = Manifest(pictures=tuple(pictures))
    classes = tuple(sorted(set(labels)))
    dataset = Dataset(
        folder=folder,
        root=".",
        classes=classes,
        manifest=manifest,
        format="folders",
        source="levels",
        licence="CC0",
    )
    write_dataset(dataset, folder)
    return folder
