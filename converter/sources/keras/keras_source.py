"""Open a Keras file as the source of a conversion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converter.pixel_scale import PixelScale
from converter.qat.unit_inputs import take_unit_inputs
from converter.quantize.tflite_conversion import IoType, Quantization, convert, freeze
from converter.sources.keras.graph import KerasGraph, read_graph, refuse
from converter.sources.keras.normalization import InputNormalization, find_normalization
from converter.sources.keras.original import PICTURES, OriginalComparison, compare_original
from converter.sources.keras.rebuild import RebuiltNetwork, rebuild
from converter.sources.keras.weights import VariableFinder
from converter.sources.source import Source, SourceNetwork, SourcePicture, read_split
from dermpack.contract import ColorOrder, InputEvidence, Parents, SourceKind
from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import InputError
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.foreign_model import DeclaredInput, ForeignModel, describe_model
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_file
from trainer.api import KerasModelFile, Recipe, predict, read_keras_model

MIN_SIDE, MAX_SIDE = 8, 2048
VERSION_CHARACTERS = 12
CHANNELS = 3
Rows = NDArray[np.uint8]


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
    side = _find_side(graph, size, path)
    finder = VariableFinder(file, graph, where=path)
    try:
        normalization = find_normalization(
            graph, finder, declared=_declared_scale(declared), size=side, where=path
        )
        rebuilt = rebuild(graph, finder, normalization, size=side, where=path)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        what = f"the configuration of the model is malformed ({type(error).__name__}: {error})"
        raise refuse(path, what, code="invalid-model-file") from error
    if rebuilt.outputs != len(labels) and (rebuilt.outputs, len(labels)) != (1, 2):
        what = f"the model has {rebuilt.outputs} outputs, but there are {len(labels)} labels"
        hint = "Give --labels with one label per output; for a single output, the labels of 0 and of 1."
        raise InputError(path, what, hint, code="labels-mismatch")
    return KerasNetwork(
        file=path,
        description=_describe(file),
        sha256=sha256,
        size=side,
        graph=graph,
        normalization=normalization,
        rebuilt=rebuilt,
        notes=tuple(_notes(file, graph, normalization, rebuilt)),
    )


def open_keras(
    network: KerasNetwork,
    dataset: Dataset,
    *,
    labels: tuple[str, ...],
    policy: Policy,
    compare: bool = False,
    evidence: InputEvidence | None = None,
    threads: int,
    track: Track = silent,
) -> Source:
    """Freeze the network and predict the validation split with it; `compare` runs the original, too."""
    # The same numbers for the trainer, the quantizers and the contract.
    pixels, model = network.normalization.pixels, network.rebuilt.model
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
        compared = _compare(network, validation.copies[0], pixels)
        notes.append(
            f"the original gives the same answers on {compared.pictures} pictures: probabilities at most "
            f"{compared.difference:.1e} apart"
        )
    return Source(
        description=network.description,
        where=network.file,
        name=f"{network.file.stem}-{network.size}",
        version=network.sha256[:VERSION_CHARACTERS],
        labels=labels,
        picture=picture,
        network=SourceNetwork(
            model=model, frozen=freeze(model), recipe=Recipe(), qat_refusal=_find_shared(network.graph)
        ),
        dataset=dataset,
        validation=validation,
        float_predictions=predict(take_unit_inputs(model, pixels), validation),
        parents=Parents(kind=SourceKind.KERAS, file=network.sha256, dataset=dataset.sha256),
        licence=dataset.licence,
        input_evidence=evidence,
        notes=tuple(notes),
    )


def describe_float_file(
    network: KerasNetwork, labels: Sequence[str], declared: DeclaredInput
) -> ForeignModel:
    """Return the network as a float .tflite whose input is that of the Keras file, to find how it is fed."""
    data = convert(freeze(network.rebuilt.model), Quantization.FLOAT32, io=IoType.FLOAT32)
    return describe_model(network.file, data, labels=labels, declared=declared)


def _declared_scale(declared: DeclaredInput) -> PixelScale | None:
    """Return what the input of the file takes, if the user declares it."""
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
        raise refuse(where, f"the input has {channels} channels, not the three of a colour picture")
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
        raise refuse(where, what)
    return int(height)


def _describe(file: KerasModelFile) -> str:
    """Return what the file is: "Keras 3 file (.keras)"."""
    version = file.keras_version.partition(".")[0] or "2"
    return f"Keras {version if version.isdecimal() else '?'} file ({'.keras' if file.is_archive else '.h5'})"


def _notes(
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


def _find_shared(graph: KerasGraph) -> str:
    """Return why quantization-aware training cannot train the network, or ""."""
    counts = Counter(call.layer.name for call in graph.calls)
    shared = [name for name, count in counts.items() if count > 1]
    return f"layer {shared[0]!r} is used more than once" if shared else ""


def _compare(network: KerasNetwork, rows: Rows, pixels: PixelScale) -> OriginalComparison:
    """Compare the rebuilt network with the original on prepared pictures."""
    pictures = np.asarray(rows)[:PICTURES]
    return compare_original(
        network.file,
        network.normalization.given.apply(pictures),
        np.asarray(network.rebuilt.model(pixels.apply(pictures), training=False), np.float64),
        head=network.rebuilt.head,
        is_keras3=network.graph.is_keras3,
    )
