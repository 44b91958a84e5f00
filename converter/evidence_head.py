"""Rebuild the head of a network so that it also returns where the answer comes from: the evidence map.

A network that ends with global average pooling and one dense layer computes

    logit = bias + sum over channels of (mean over positions of the feature) · weight
          = mean over positions of (bias + sum over channels of feature · weight)

so that a 1×1 convolution with the same weights gives a map of each label whose mean is the label's logit. If
the dense layer also reads the metadata, their share of each logit is added to the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tf_keras

from converter import _private
from converter._private import Keras
from dermpack.errors import InputError

EVIDENCE_LAYER, METADATA_LAYER = "evidence", "metadata_evidence"  # no other layer has these names
# Added to the share of the metadata: too small to change it in any number type. The converter would omit 0.
# An int8 layer without a bias crashes tflite-runtime 2.14 on ARM if it has fewer than four labels.
NO_BIAS = 1e-30
HINT = (
    "Omit --evidence, or train a network with one dense layer after its pooling (without --dense, and with "
    "--join concat if it takes metadata)."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PooledHead:
    """The last layers of a network: pooling, perhaps dropout and metadata, and one dense layer."""

    dense: Keras
    features: Keras  # the tensor before the pooling: [n, height, width, channels]
    channels: slice  # the inputs of the dense layer that are pooled features
    dropout: Keras | None  # the layer between the pooling and the dense layer
    metadata: Keras | None = None  # the tensor that is concatenated with the pooled features
    metadata_slots: slice | None = None


def rebuild_for_evidence(model: Keras, *, where: object) -> Keras:
    """Return a network with the same outputs whose layer EVIDENCE_LAYER computes the maps.

    Raise InputError for a network with another head.
    """
    head = find_head(model, where=where)
    layers, labels = tf_keras.layers, head.dense.units
    kernel, bias = (np.asarray(weight, np.float32) for weight in head.dense.get_weights())
    tensor = head.features
    # A network of another program may have layers of any name, and a name is used once.
    taken = {layer.name for layer in model.layers}

    def unique(name: str) -> str:
        while name in taken:
            name += "_"
        return name

    if head.dropout is not None:  # of whole channels, which is the same as of pooled features
        tensor = layers.SpatialDropout2D(head.dropout.rate, name=head.dropout.name)(tensor)
    convolution = layers.Conv2D(labels, 1, dtype="float32", name=EVIDENCE_LAYER)
    tensor = layers.GlobalAveragePooling2D(dtype="float32", name=unique("logits"))(convolution(tensor))
    share = layers.Dense(labels, dtype="float32", name=METADATA_LAYER)
    if head.metadata is not None:
        tensor = layers.Add(dtype="float32", name=unique("logits_with_metadata"))(
            [tensor, share(head.metadata)]
        )
        share.set_weights([kernel[head.metadata_slots], np.full(labels, NO_BIAS, np.float32)])
    convolution.set_weights([kernel[head.channels][None, None], bias])
    answer = layers.Activation("softmax", dtype="float32", name=head.dense.name)(tensor)
    return tf_keras.Model(model.inputs, answer, name=model.name)


def find_head(model: Keras, *, where: object) -> PooledHead:
    """Return the last layers of a network; raise InputError if they are not those of an evidence map."""
    layers = tf_keras.layers
    dense = model.layers[-1]
    if not isinstance(dense, layers.Dense) or dense.activation is not tf_keras.activations.softmax:
        raise _head_error(where, "its last layer is not a dense layer with a softmax")
    if not dense.use_bias:
        raise _head_error(where, "its last layer has no bias")
    before = _private.list_sources(dense)
    dropout = None
    if len(before) == 1 and isinstance(before[0], layers.Dropout):
        dropout, before = before[0], _private.list_sources(before[0])
    # The dense layer reads the outputs of these layers, one after the other.
    parts = before
    if len(before) == 1 and isinstance(before[0], layers.Concatenate):
        parts = _private.list_sources(before[0])
    pools = [part for part in parts if isinstance(part, layers.GlobalAveragePooling2D)]
    if len(pools) != 1 or len(parts) > 2:
        raise _head_error(where, "its last layer does not read pooled features directly")
    fields: dict[str, Any] = {}
    start = 0
    for part in parts:
        slots = slice(start, start + int(part.output.shape[-1]))
        start = slots.stop
        if part is pools[0]:
            fields |= {"features": part.input, "channels": slots}
        else:
            fields |= {"metadata": part.output, "metadata_slots": slots}
    return PooledHead(dense=dense, dropout=dropout, **fields)


def _head_error(where: object, why: str) -> InputError:
    what = f"an evidence map is not possible for this network ({why})"
    return InputError(where, what, HINT, code="evidence-not-supported")
