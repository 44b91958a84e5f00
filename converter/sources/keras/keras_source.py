"""Open a Keras file as the source of a conversion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converter.export_graph import build_export_graph
from converter.pixel_scale import PixelScale
from converter.qat.unit_inputs import take_byte_inputs, take_unit_inputs
from converter.quantize.tflite_conversion import IoType, Quantization, convert, freeze, freeze_graph
from converter.sources.keras.graph import MALFORMED, KerasGraph, malformed_error, network_error
from converter.sources.keras.graph_reading import read_graph
from converter.sources.keras.normalization import (
    InputNormalization,
    find_normalization,
    refuse_other_numbers,
)
from converter.sources.keras.original import PICTURES, compare_original
from converter.sources.keras.rebuild import RebuiltNetwork, rebuild
from converter.sources.keras.weights import VariableFinder
from converter.sources.source import Source, SourceNetwork, SourcePicture, read_split
from dermpack.contract import ColorOrder, InputEvidence, Parents, SourceKind
from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import InputError
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.foreign_model import DeclaredInput, ForeignModel, InputRange, describe_model
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_file
from trainer.api import KerasModelFile, Recipe, predict, read_keras_model

MIN_SIDE, MAX_SIDE = 8, 2048
VERSION_CHARACTERS = 12
CHANNELS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KerasNetwork:
    """The network of a Keras file, rebuilt, and how it takes pictures; no dataset is needed for it."""

    file: Path
    description: str
    sha256: str
    size: int
    graph: KerasGraph
    normalization: InputNormalization
    rebuilt: RebuiltNetwork
    notes: tuple[str, ...]


def load_keras(
    path: Path, *, labels: Sequence[str], declared: DeclaredInput, size: int | None
) -> KerasNetwork:
    """Read and rebuild the network of a Keras file, and check that it has an output for each label."""
    sha256 = sha256_file(path) if path.is_file() else ""
    file = read_keras_model(path)
    # From here on, the file is text and arrays; tf_keras builds only layers that the vocabulary lists.
    graph = read_graph(file.config, where=path, keras_version=file.keras_version)
    finder = VariableFinder(file, graph, where=path)
    try:
        side = _find_side(graph, size, path)
        normalization = find_normalization(
            graph,
            finder,
            declared=_declared_scale(declared),
            color=declared.color or ColorOrder.RGB,
            size=side,
            where=path,
        )
        rebuilt = rebuild(graph, finder, normalization, size=side, where=path)
        notes = tuple(_list_notes(file, graph, normalization, rebuilt))
    except MALFORMED as error:
        raise malformed_error(path, error) from error
    if rebuilt.outputs != len(labels) and (rebuilt.outputs, len(labels)) != (1, 2):
        what = f"the model has {rebuilt.outputs} outputs, but there are {len(labels)} labels"
        hint = "Give --labels with one label per output; for a single output, the labels of 0 and of 1."
        raise InputError(path, what, hint, code="labels-mismatch")
    version = file.keras_version.partition(".")[0] or "2"
    version = version if version.isdecimal() else "?"
    return KerasNetwork(
        file=path,
        description=f"Keras {version} file ({'.keras' if file.is_archive else '.h5'})",
        sha256=sha256,
        size=side,
        graph=graph,
        normalization=normalization,
        rebuilt=rebuilt,
        notes=notes,
    )


def open_keras(
    network: KerasNetwork,
    dataset: Dataset,
    *,
    labels: tuple[str, ...],
    policy: Policy,
    compare: bool = False,
    evidence: bool = False,
    input_evidence: InputEvidence | None = None,
    threads: int,
    track: Track = silent,
) -> Source:
    """Freeze the network and predict the validation split with it.

    `compare` also runs the original, `evidence` adds the evidence map to the outputs, and `input_evidence`
    records how the numbers of the input were found.
    """
    # The same numbers for the trainer, the quantizers and the contract.
    pixels = network.normalization.pixels
    graph = build_export_graph(network.rebuilt.model, evidence=evidence, where=network.file)
    picture = SourcePicture(size=network.size, policy=policy, pixels=pixels)
    validation = read_split(
        dataset,
        Split.VALIDATION,
        labels=labels,
        picture=picture,
        where=network.file,
        threads=threads,
        track=track,
    )
    notes = list(network.notes)
    if compare:
        notes.append(_compare_answers(network, np.asarray(validation.copies[0][:PICTURES])))
    # tfmot wraps each layer once.
    counts = Counter(call.layer.name for call in network.graph.calls)
    shared = next((name for name, count in counts.items() if count > 1), None)
    refusal = "" if shared is None else f"layer {shared!r} is used more than once"
    return Source(
        description=network.description,
        where=network.file,
        name=f"{network.file.stem}-{network.size}",
        version=network.sha256[:VERSION_CHARACTERS],
        labels=labels,
        picture=picture,
        network=SourceNetwork(graph=graph, frozen=freeze_graph(graph), recipe=Recipe(), qat_refusal=refusal),
        dataset=dataset,
        validation=validation,
        float_predictions=predict(take_unit_inputs(graph.model, pixels), validation),
        parents=Parents(kind=SourceKind.KERAS, file=network.sha256, dataset=dataset.sha256),
        licence=dataset.licence,
        input_evidence=input_evidence,
        notes=tuple(notes),
    )


def _compare_answers(network: KerasNetwork, rows: NDArray[np.uint8]) -> str:
    """Run the original on prepared pictures, and return in words how close the rebuilt network is to it."""
    pixels = network.normalization.pixels
    compared = compare_original(
        network.file,
        network.normalization.given.apply(rows),
        np.asarray(network.rebuilt.model(pixels.apply(rows), training=False), np.float64),
        head=network.rebuilt.head,
        is_keras3=network.graph.is_keras3,
    )
    return (
        f"the original gives the same answers on {compared.pictures} pictures: probabilities at most "
        f"{compared.difference:.1e} apart"
    )


def describe_float_file(
    network: KerasNetwork, labels: Sequence[str], declared: DeclaredInput
) -> ForeignModel:
    """Return the network as a float .tflite whose input is that of the Keras file, to find how it is fed.

    The network was loaded as one that takes bytes, so its scale of pixels is the file's own normalization.
    """
    if network.normalization.is_for_bytes:  # the numbers of the pixels need not be found
        refuse_other_numbers(_declared_scale(declared), network.file)
        declared = replace(declared, range=InputRange.BYTES, mean=None, std=None)
    model = take_byte_inputs(network.rebuilt.model, network.normalization.pixels)
    data = convert(freeze(model), Quantization.FLOAT32, io=IoType.FLOAT32)
    return describe_model(network.file, data, labels=labels, declared=declared)


def _declared_scale(declared: DeclaredInput) -> PixelScale | None:
    """Return the scale of the pixels at the input of the file if the user declares it, else None."""
    mean = declared.range.mean if declared.range else declared.mean
    std = declared.range.std if declared.range else declared.std
    if mean is None or std is None:
        return None
    if declared.color is ColorOrder.BGR:
        return PixelScale(mean=mean[::-1], std=std[::-1], color=ColorOrder.BGR)
    return PixelScale(mean=mean, std=std)


def _find_side(graph: KerasGraph, size: int | None, where: Path) -> int:
    """Return the side of the picture: as the file declares it, or as the user does."""
    height, width, channels = graph.shape
    resized = next((call.layer for call in graph.calls if call.layer.kind == "Resizing"), None)
    if height is None and resized is not None:
        height, width = resized.options["height"], resized.options["width"]
    if channels not in (None, CHANNELS):
        raise network_error(where, f"the input has {channels} channels, not the three of a colour picture")
    if height is None or width is None:
        if size is None:
            what, hint = "the file does not fix the size of its pictures", "Give it with --size."
            raise InputError(where, what, hint, code="unknown-size")
        height = width = size
    if size is not None and (height, width) != (size, size):
        what, hint = f"not the size of the file's pictures ({height} × {width})", "Omit it."
        raise InputError(f"--size {size}", what, hint, code="conflicting-options")
    if height != width or not MIN_SIDE <= height <= MAX_SIDE:
        what = f"the input is {height} × {width}, not a square of {MIN_SIDE} to {MAX_SIDE} pixels"
        raise network_error(where, what)
    return int(height)


def _list_notes(
    file: KerasModelFile, graph: KerasGraph, normalization: InputNormalization, rebuilt: RebuiltNetwork
) -> list[str]:
    notes = [f"input: {normalization.description}"]
    if graph.left_out:
        notes.append(f"left out, because they act only in training: {', '.join(graph.left_out)}")
    if rebuilt.head.value == "logits":
        notes.append("the file returns logits: the exported files compute probabilities of them")
    if "mixed_" in str(file.config):
        notes.append(
            "the file computes in half precision; the exported files are made from its float32 weights"
        )
    return notes
