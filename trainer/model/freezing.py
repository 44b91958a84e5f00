"""Cut a network in two, and say what of it trains.

freeze_below(model, fine_tune)    the head and the top N layers of the backbone train (0: the head alone; ALL:
                                  everything); batch normalisation of the backbone never does: it stays in
                                  inference mode
train_from_nothing(model)         everything trains, batch normalisation too
boundary(model)                   the last layer below everything that trains whose output is all that the
                                  layers above it need
split_at(model, name)             the network below that layer and the one above, sharing their layers
features(model)                   the network up to its pooled features

Layers are counted as Keras counts them (model.layers of the backbone, activations and paddings included).
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import tf_keras

from dermpack.errors import InputError
from trainer.model.backbones import INPUT_MAP

POOL = "pool"  # the first layer of the head
MOMENTUM = 0.9  # of batch normalisation: 0.999, made for days of ImageNet, has not forgotten its start

Keras = Any  # tf_keras ships no types


class All(Enum):
    """Every layer, where a number of layers could stand."""

    ALL = "all"


def backbone_layers(model: Keras) -> list[Keras]:
    """What lies below the head, from the pixels up, the input map left out."""
    names = [layer.name for layer in model.layers]
    below = model.layers[: names.index(POOL)]
    return [layer for layer in below if layer.name != INPUT_MAP]


def freeze_below(model: Keras, fine_tune: int | All) -> None:
    """Set `trainable` of every layer; compile afterwards."""
    backbone = backbone_layers(model)
    count = len(backbone) if isinstance(fine_tune, All) else fine_tune
    if count < 0:
        what, hint = "not a number of layers", "Choose 0 or more, or all."
        raise InputError(f"--fine-tune {fine_tune}", what, hint, code="invalid-option")
    trained = {layer.name for layer in backbone[max(0, len(backbone) - count) :] if not _is_norm(layer)}
    below = {layer.name for layer in backbone} | {INPUT_MAP}
    for layer in model.layers:
        layer.trainable = layer.name in trained or layer.name not in below


def train_from_nothing(model: Keras) -> None:
    """Set `trainable` of every layer but the fixed input map; compile afterwards."""
    for layer in model.layers:
        layer.trainable = layer.name != INPUT_MAP
        if _is_norm(layer):
            layer.momentum = MOMENTUM


def boundary(model: Keras) -> str:
    """The layer at which to cut: below it nothing trains, and nothing but its output crosses.

    Where a cut would save no work it is the input itself.
    """
    layers = model.layers
    places = {layer.name: place for place, layer in enumerate(layers)}
    lowest = min(place for place, layer in enumerate(layers) if layer.trainable_weights)
    highest = min(lowest - 1, places[POOL])  # above the pooled features dropout begins
    farthest, cut = 0, 0  # the highest layer that reads from below the place looked at
    readers = _readers(model, places)
    for place in range(highest + 1):
        if farthest <= place:
            cut = place
        farthest = max(farthest, *readers[place])
    saves_work = any(layer.weights and layer.name != INPUT_MAP for layer in layers[: cut + 1])
    return str(layers[cut if saves_work else 0].name)


def split_at(model: Keras, name: str) -> tuple[Keras, Keras]:
    """The trunk up to the layer's output, and the rest from there; training one trains the whole."""
    tensor = model.get_layer(name).get_output_at(0)
    trunk = tf_keras.Model(model.inputs, tensor, name=f"{model.name}_trunk")
    rest = tf_keras.Model(tensor, model.outputs, name=f"{model.name}_rest")
    return trunk, rest


def features(model: Keras) -> Keras:
    """The trunk whose output is the pooled features."""
    return split_at(model, POOL)[0]


def _is_norm(layer: Keras) -> bool:
    return isinstance(layer, tf_keras.layers.BatchNormalization)


def _readers(model: Keras, places: dict[str, int]) -> list[list[int]]:
    """For each layer, by its place, the places of the layers that read its output."""
    readers: list[list[int]] = [[0] for _ in places]
    for name, place in places.items():
        for parent in model.get_layer(name).inbound_nodes[0].parent_nodes:
            readers[places[parent.layer.name]].append(place)
    return readers
