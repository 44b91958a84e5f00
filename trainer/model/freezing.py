"""Choose which layers of a network train, and split it where training begins.

Layers are counted as Keras counts them (`model.layers` of the backbone, activations and paddings included).
"""

from __future__ import annotations

from typing import Any

import tf_keras

from dermpack.errors import InputError
from trainer.model.backbones import INPUT_MAP
from trainer.model.metadata_join import is_metadata_layer

POOL = "pool"  # the first layer of the head
MOMENTUM = 0.9  # of batch normalization; Keras's 0.999 is too slow for trainings of a few thousand steps

Keras = Any  # tf_keras ships no types


def backbone_layers(model: Keras) -> list[Keras]:
    """Return the layers below the head, from the pixels up, without the input map."""
    layers = _picture_layers(model)
    names = [layer.name for layer in layers]
    below = layers[: names.index(POOL)]
    return [layer for layer in below if layer.name != INPUT_MAP]


def freeze_below(model: Keras, fine_tune: int | None) -> None:
    """Make the head and the top layers of the backbone trainable: 0 none of them, None all.

    Batch normalization of the backbone stays frozen, and with it in inference mode. Compile afterwards.
    """
    backbone = backbone_layers(model)
    count = len(backbone) if fine_tune is None else fine_tune
    if count < 0:
        what, hint = "not a number of layers", "Choose 0 or more, or all."
        raise InputError(f"--fine-tune {fine_tune}", what, hint, code="invalid-option")
    top = backbone[max(0, len(backbone) - count) :]
    # Batches are too small to estimate the statistics again that the backbone was pretrained with.
    trained = {layer.name for layer in top if not _is_batch_norm(layer)}
    below = {layer.name for layer in backbone} | {INPUT_MAP}
    for layer in model.layers:
        layer.trainable = layer.name in trained or layer.name not in below


def unfreeze_all(model: Keras) -> None:
    """Make every layer but the fixed input map trainable, batch normalization too; compile afterwards."""
    for layer in model.layers:
        layer.trainable = layer.name != INPUT_MAP
        if _is_batch_norm(layer):
            layer.momentum = MOMENTUM


def find_boundary(model: Keras) -> str:
    """Return the name of the layer to split at: nothing below it trains, and only its output is read above.

    Where a split would save no work, that is the input itself.
    """
    layers = _picture_layers(model)
    positions = {layer.name: position for position, layer in enumerate(layers)}
    lowest_trained = min(position for position, layer in enumerate(layers) if layer.trainable_weights)
    highest = min(lowest_trained - 1, positions[POOL])  # dropout begins above the pooled features
    # For each layer, by position: the positions of the layers that read its output.
    readers: list[list[int]] = [[0] for _ in layers]
    for position, layer in enumerate(layers):
        for parent in layer.inbound_nodes[0].parent_nodes:
            if parent.layer.name in positions:
                readers[positions[parent.layer.name]].append(position)
    # Walk up: a layer is a possible split where no layer above it reads anything from below it.
    farthest_reader, split = 0, 0
    for position in range(highest + 1):
        if farthest_reader <= position:
            split = position
        farthest_reader = max(farthest_reader, *readers[position])
    saves_work = any(layer.weights and layer.name != INPUT_MAP for layer in layers[: split + 1])
    return str(layers[split if saves_work else 0].name)


def split_model(model: Keras, name: str) -> tuple[Keras, Keras]:
    """Return the trunk up to the layer's output and the rest above it; both share the model's layers.

    The trunk takes the picture, the rest its output, and the metadata if the model has any.
    """
    pixels, *others = model.inputs
    tensor = model.get_layer(name).get_output_at(0)
    trunk = tf_keras.Model([pixels], tensor, name=f"{model.name}_trunk")
    rest = tf_keras.Model([tensor, *others] if others else tensor, model.outputs, name=f"{model.name}_rest")
    return trunk, rest


def _picture_layers(model: Keras) -> list[Keras]:
    """Return the layers without those of the metadata, which Keras mixes with the others by their depth."""
    return [layer for layer in model.layers if not is_metadata_layer(layer)]


def _is_batch_norm(layer: Keras) -> bool:
    return isinstance(layer, tf_keras.layers.BatchNormalization)
