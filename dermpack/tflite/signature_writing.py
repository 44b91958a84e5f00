"""Write a signature into a .tflite file, by whose names its tensors are found whatever their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from dermpack.contract import SIGNATURE
from dermpack.errors import InputError
from dermpack.tflite.model_tree import pack_model, unpack_model

WHERE = "model.tflite"


def with_signature(data: bytes, *, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> bytes:
    """Return the file with a signature: its names, and the names that the tensors have now.

    The tensors themselves get the names of the signature, too: an interface that knows no signatures, such as
    InterpreterApi of Java, finds them by these.
    """
    model = unpack_model(data, where=WHERE)
    graph = model.subgraphs[0]
    ends: list[list[Any]] = []
    for kind, names, indices in (("input", inputs, graph.inputs), ("output", outputs, graph.outputs)):
        own = [(graph.tensors[index].name, int(index)) for index in indices]
        present = {name.decode() if isinstance(name, bytes) else name: index for name, index in own}
        if sorted(names.values()) != sorted(present):
            what = f"the {kind}s of the file are {', '.join(sorted(present))}"
            hint = f"Name each of them; the names given are {', '.join(sorted(names.values()))}."
            raise InputError(WHERE, what, hint, code="unsupported-model")
        ends.append(
            [schema.TensorMapT(name=name, tensorIndex=present[names[name]]) for name in sorted(names)]
        )
    for entry in (*ends[0], *ends[1]):
        graph.tensors[entry.tensorIndex].name = entry.name
    signature = schema.SignatureDefT(inputs=ends[0], outputs=ends[1], signatureKey=SIGNATURE, subgraphIndex=0)
    model.signatureDefs = [signature]
    return pack_model(model)
