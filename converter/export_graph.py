"""Assemble the graph to convert: the trained network, its inputs and its further outputs.

This is the only place where outputs are added. Each is computed from a layer of the network, so that one pass
over the picture gives all of them.

1. `rebuild` functions change the network without changing its probabilities, before it is quantized or
   trained with quantization; the evidence map needs another order of its last layers.
2. `FurtherOutput` names a layer of the rebuilt network, and what is computed from its output when the graph
   is frozen, after any training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import tf_keras

from converter._private import Keras
from converter.evidence_head import EVIDENCE_LAYER, METADATA_LAYER, rebuild_for_evidence
from dermpack.contract import EVIDENCE, METADATA, METADATA_EVIDENCE, PICTURE, PROBABILITIES

QAT_PREFIX = "quant_"  # of the layers of a network with quantizers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FurtherOutput:
    """An output besides the probabilities."""

    name: str  # in the signature and in the contract
    layer: str  # of the rebuilt network
    tail: Callable[[Any], Any] | None = None  # computes the output from that of the layer, with TensorFlow


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExportGraph:
    """A flat functional network whose own output are the probabilities, and its further outputs."""

    model: Keras
    further: tuple[FurtherOutput, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the model's inputs, in its order: the picture, then the metadata."""
        return (PICTURE, METADATA)[: len(self.model.inputs)]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of all outputs: the probabilities, then the further ones."""
        return (PROBABILITIES, *(output.name for output in self.further))

    @property
    def is_plain(self) -> bool:
        """Whether the file has one picture in and probabilities out, and needs no names."""
        return (len(self.inputs), len(self.outputs)) == (1, 1)

    def trained(self, model: Keras) -> ExportGraph:
        """Return the graph with the network after training, which has layers of the same names."""
        return replace(self, model=model)

    def output_tensors(self) -> list[Keras]:
        """Return the tensors of the layers of the further outputs, without their tails."""
        names = {layer.name for layer in self.model.layers}
        layers = [
            output.layer if output.layer in names else f"{QAT_PREFIX}{output.layer}"
            for output in self.further
        ]
        return [self.model.get_layer(name).output for name in layers]

    def call(self, *inputs: Any) -> tuple[Any, ...]:
        """Compute all outputs, in the order of their names."""
        model = tf_keras.Model(self.model.inputs, [*self.model.outputs, *self.output_tensors()])
        computed = model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
        probabilities, *tensors = computed if self.further else [computed]
        tailed = (
            output.tail(tensor) if output.tail else tensor
            for output, tensor in zip(self.further, tensors, strict=True)
        )
        return (probabilities, *tailed)


def build_export_graph(model: Keras, *, evidence: bool = False, where: object) -> ExportGraph:
    """Return the graph of a network with the requested outputs; `where` names the network in errors."""
    further: list[FurtherOutput] = []
    if evidence:
        model = rebuild_for_evidence(model, where=where)
        further.append(FurtherOutput(name=EVIDENCE, layer=EVIDENCE_LAYER))
        if METADATA_LAYER in {layer.name for layer in model.layers}:
            further.append(FurtherOutput(name=METADATA_EVIDENCE, layer=METADATA_LAYER))
    return ExportGraph(model=model, further=tuple(further))
