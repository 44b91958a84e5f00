"""Find the variables of each layer in a Keras file.

A .keras file stores them under paths that are made from the classes of the layers. An .h5 file has a group
for each layer of the outermost model; the variables of a model inside it are one list, first those that
train.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converter.sources.keras import vocabulary
from converter.sources.keras.graph import KerasGraph, KerasLayer
from dermpack.errors import InputError
from trainer.api import FileLayer, KerasModelFile

Array = NDArray[np.float32]
Shape = tuple[int, ...]
FROZEN = ("moving_mean", "moving_variance", "mean", "variance", "count")  # variables that never train
HINT = "Save the model again with model.save('….keras')."


class VariableFinder:
    """The variables of a file by layer."""

    def __init__(self, file: KerasModelFile, graph: KerasGraph, *, where: Path) -> None:
        self._file, self._graph, self._where = file, graph, where
        self._groups = {layer.name: layer for layer in file.layers}
        self._found: dict[KerasLayer, list[Array]] = {}

    def find(self, layer: KerasLayer, shapes: Sequence[Shape | None]) -> list[Array]:
        """Return the variables of a layer, whose shapes must be these (None: any)."""
        if layer not in self._found:
            self._search(layer)
        arrays = self._found[layer]
        for names, array, shape in zip(_variables(layer), arrays, shapes, strict=True):
            if shape is not None and array.shape != shape:
                what = (
                    f"{names[0]} of layer {layer.name!r} has shape {array.shape}, but the layer needs {shape}"
                )
                raise self._mismatch(what)
        return arrays

    def _search(self, layer: KerasLayer) -> None:
        """Assign the variables of the group that contains the layer."""
        # A group of a .keras file has one layer; a group of an .h5 file has all layers of a nested model.
        if self._file.is_archive:
            paths = ("/".join(f"layers/{part}" for part in names) for names in (layer.stored, layer.route))
            group = next((self._groups[path] for path in paths if path in self._groups), None)
            members = [layer]
        else:
            group = self._groups.get(layer.route[0])
            members = [one for one in self._graph.layers if one.route[0] == layer.route[0]]
        members = [one for one in members if _variables(one)]
        if group is None:
            raise self._mismatch(f"the variables of layer {layer.name!r} are missing")
        expected = sum(len(_variables(one)) for one in members)
        if len(group.weights) < expected or (len(members) == 1 and len(group.weights) > expected):
            what = f"layer {group.name!r} has {len(group.weights)} variables, but needs {expected}"
            raise self._mismatch(what)
        if len(members) == 1:
            self._found[layer] = [array for _, array in group.weights]
        else:
            self._found |= self._assign_by_name(members, group) or self._assign_by_order(members, group)

    def _assign_by_name(
        self, members: Sequence[KerasLayer], group: FileLayer
    ) -> dict[KerasLayer, list[Array]]:
        """Return the variables called LAYER/VARIABLE; nothing if a name is missing, or there twice."""
        ends = ["/".join(name.partition(":")[0].split("/")[-2:]) for name, _ in group.weights]
        counts = Counter(ends)
        arrays = dict(zip(ends, (array for _, array in group.weights), strict=True))
        found: dict[KerasLayer, list[Array]] = {}
        for layer in members:
            names = [
                next(
                    (name for name in (f"{layer.route[-1]}/{one}" for one in choice) if counts[name] == 1), ""
                )
                for choice in _variables(layer)
            ]
            if not all(names):
                return {}
            found[layer] = [arrays[name] for name in names]
        # Two layers of one name in different models would share their variables.
        used = {id(array) for own in found.values() for array in own}
        return found if len(used) == sum(map(len, found.values())) else {}

    def _assign_by_order(
        self, members: Sequence[KerasLayer], group: FileLayer
    ) -> dict[KerasLayer, list[Array]]:
        """Return the variables by their order: first all that train, then the others."""
        # Keras 2 lists the trained variables of a model before the frozen ones, in the order of its layers.
        order: list[tuple[KerasLayer, int]] = []
        slots = [
            (layer, number, layer.is_trainable and names[0] not in FROZEN)
            for layer in members
            for number, names in enumerate(_variables(layer))
        ]
        for is_first in (True, False):
            order += [(layer, number) for layer, number, trains in slots if trains is is_first]
        if len(order) != len(group.weights):
            what = f"layer {group.name!r} has {len(group.weights)} variables, but needs {len(order)}"
            raise self._mismatch(what)
        found: dict[KerasLayer, dict[int, Array]] = {layer: {} for layer in members}
        for (layer, number), (name, array) in zip(order, group.weights, strict=True):
            names, last = _variables(layer)[number], name.partition(":")[0].rpartition("/")[2]
            if last not in names:
                raise self._mismatch(f"{name!r} is at the place of {names[0]} of layer {layer.name!r}")
            found[layer][number] = array
        return {layer: [own[number] for number in sorted(own)] for layer, own in found.items()}

    def _mismatch(self, what: str) -> InputError:
        return InputError(self._where, what, HINT, code="weights-mismatch")


def _variables(layer: KerasLayer) -> list[tuple[str, ...]]:
    return vocabulary.list_variables(layer.kind, layer.options)
