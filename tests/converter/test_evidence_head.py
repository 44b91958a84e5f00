"""The head of a network is rebuilt so that it returns its map, and its answer stays what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.errors import raises_code

pytestmark = pytest.mark.tensorflow
LABELS, SIDE, FIELDS = 3, 16, 5


def network(*, hidden: bool = False, metadata: bool = False, dropout: float = 0.2) -> Any:
    import tf_keras

    layers = tf_keras.layers
    tf_keras.utils.set_random_seed(0)
    inputs = [tf_keras.Input((SIDE, SIDE, 3), name="pixels")]
    features = layers.Conv2D(8, 3, strides=2, activation="relu")(inputs[0])
    tensor = layers.GlobalAveragePooling2D()(features)
    if metadata:
        inputs.append(tf_keras.Input((FIELDS,), name="metadata"))
        tensor = layers.Concatenate()([tensor, layers.Dense(4, activation="relu")(inputs[1])])
    if dropout:
        tensor = layers.Dropout(dropout)(tensor)
    if hidden:
        tensor = layers.Dense(6, activation="relu")(tensor)
    return tf_keras.Model(inputs, layers.Dense(LABELS, activation="softmax", name="predictions")(tensor))


def fed(model: Any) -> list[Any]:
    generator = np.random.default_rng(0)
    return [generator.normal(size=(2, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs]


@pytest.mark.parametrize("metadata", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_rebuilt_network_answers_the_same(metadata: bool, dropout: float) -> None:
    from converter.evidence_head import rebuild_for_evidence

    model = network(metadata=metadata, dropout=dropout)
    rebuilt = rebuild_for_evidence(model, where="run")
    given = fed(model)
    assert np.allclose(rebuilt(given, training=False), model(given, training=False), atol=1e-6)


def test_a_network_with_layers_of_the_same_names_is_rebuilt() -> None:
    import tf_keras

    from converter.evidence_head import rebuild_for_evidence

    layers = tf_keras.layers
    pixels = tf_keras.Input((SIDE, SIDE, 3))
    tensor = layers.Dropout(0.1, name="dropout")(layers.Conv2D(8, 3)(pixels))
    tensor = layers.Conv2D(8, 3, name="logits_with_metadata")(tensor)
    tensor = layers.Dropout(0.5, name="dropout_1")(layers.GlobalAveragePooling2D()(tensor))
    model = tf_keras.Model(pixels, layers.Dense(LABELS, activation="softmax", name="logits")(tensor))
    rebuilt = rebuild_for_evidence(model, where="run")
    given = fed(model)
    assert np.allclose(rebuilt(given, training=False), model(given, training=False), atol=1e-6)


def test_the_outputs_of_the_graph_add_up_to_the_logits() -> None:
    from converter.export_graph import build_export_graph

    model = network(metadata=True)
    graph = build_export_graph(model, evidence=True, where="run")
    assert graph.inputs == ("picture", "metadata")
    assert graph.outputs == ("probabilities", "evidence", "metadata_evidence")
    probabilities, evidence, share = (np.asarray(output) for output in graph.call(*fed(model)))
    logits = evidence.mean(axis=(1, 2)) + share
    powers = np.exp(logits)
    assert np.allclose(powers / powers.sum(axis=1, keepdims=True), probabilities, atol=1e-6)


def test_a_graph_without_further_outputs_is_plain() -> None:
    from converter.export_graph import build_export_graph

    model = network()
    graph = build_export_graph(model, where="run")
    assert graph.is_plain and graph.model is model


def test_a_network_with_another_head_is_refused() -> None:
    from converter.evidence_head import rebuild_for_evidence

    with raises_code("evidence-not-supported", "run", "pooled features", "--dense"):
        rebuild_for_evidence(network(hidden=True), where="run")
