"""Define what a conversion starts from, whatever it was: a run, a Keras file or a .tflite file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from converter.export_graph import ExportGraph
from converter.pixel_scale import UNIT_SCALE, PixelScale
from converter.quantize.tflite_conversion import FrozenFunction
from dermpack.contract import (
    EVIDENCE,
    METADATA,
    METADATA_EVIDENCE,
    PICTURE,
    PROBABILITIES,
    Activation,
    EvidenceOutput,
    InputEvidence,
    InputRecord,
    MetadataColumn,
    MetadataEvidenceOutput,
    MetadataInput,
    OutputRecord,
    Parents,
    PictureInput,
    ProbabilitiesOutput,
    Temperature,
    TensorInterface,
)
from dermpack.dataset.manifest import Dataset, Split
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.foreign_model import quantization_of
from dermpack.inference.label_list import require_known_labels
from dermpack.metrics.predictions import Predictions, as_truth
from dermpack.progress import Track, silent
from dermpack.tflite.model_file import ModelFile
from trainer.api import Examples, Recipe, read_examples

EVIDENCE_STEPS = 1.0  # rounding of the mean: half a step of the map, and half a step of the logits


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePicture:
    """The picture that the network takes: its side, its preparation, and the numbers of its pixels."""

    size: int
    policy: Policy
    pixels: PixelScale = UNIT_SCALE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceNetwork:
    """A network as a flat tf_keras model; it can be converted by every method but the refused ones.

    It takes float32 [n, size, size, 3], scaled as the picture declares, and returns softmax probabilities;
    a network with columns takes the rows of the metadata, too.
    """

    graph: ExportGraph  # the network with all inputs and outputs of the file
    frozen: FrozenFunction
    recipe: Recipe  # that quantization-aware training follows
    qat_refusal: str = ""  # why quantization-aware training does not support it, or ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """A trained classifier and everything that a conversion needs from it.

    Exactly one of `network` and `file` is given: a .tflite of foreign origin has no layers to train.
    """

    description: str  # for the contract: "dermpack run", "Keras 3 file (.keras)" …
    where: Path  # for error messages
    name: str  # of the exported model, without its quantization: mobilenet_v2-0.35-96
    version: str  # of the exported model: the same weights have the same one
    labels: tuple[str, ...]
    picture: SourcePicture
    network: SourceNetwork | None = None
    file: bytes | None = None
    dataset: Dataset
    validation: Examples
    float_predictions: Predictions  # on the validation split, before any temperature
    parents: Parents
    licence: str
    sensitivities: Mapping[str, float] = field(default_factory=dict)  # wanted for these labels
    notes: tuple[str, ...] = ()  # what a person should know about how the source was understood
    activation: Activation = Activation.SOFTMAX
    applied: bool = True  # whether the network contains the activation
    input_evidence: InputEvidence | None = None  # how the preprocessing was found
    columns: tuple[MetadataColumn, ...] = ()  # of the patient metadata that the network takes

    @property
    def pixels(self) -> PixelScale:
        """The scale that turns pixels into the input of the network."""
        return self.picture.pixels

    @property
    def identity(self) -> str:
        """The hash of what the conversion starts from."""
        return self.parents.run or self.parents.file or ""

    @property
    def trained(self) -> SourceNetwork:
        """The network of a source that has one; the caller has chosen a method for it."""
        assert self.network is not None, self.description
        return self.network

    def read_split(self, split: Split, *, threads: int, track: Track = silent) -> Examples:
        """Return the prepared pictures of a split, and their metadata if the network takes it."""
        return read_split(
            self.dataset,
            split,
            labels=self.labels,
            picture=self.picture,
            where=self.where,
            threads=threads,
            columns=self.columns,
            track=track,
        )

    def interface(self, model: ModelFile, temperature: Temperature | None = None) -> TensorInterface:
        """Return how an app feeds and reads a file that was made of the source."""
        signature = next(iter(model.signatures), None)
        # A plain file needs no names; a file of foreign origin may have a signature with names of its own.
        if signature is None or PICTURE not in signature.inputs:
            inputs, outputs, key = {PICTURE: model.inputs[0]}, {PROBABILITIES: model.outputs[0]}, None
        else:
            inputs, outputs, key = dict(signature.inputs), dict(signature.outputs), signature.key
        pixels, scores = inputs[PICTURE], outputs[PROBABILITIES]
        described: dict[str, InputRecord] = {
            PICTURE: PictureInput(
                shape=pixels.shape,
                width=self.picture.size,
                height=self.picture.size,
                mean=self.pixels.mean,
                std=self.pixels.std,
                color=self.pixels.color,
                layout=self.pixels.layout,
                policy=self.picture.policy.value,
                size_bytes=pixels.size_bytes,
                **quantization_of(pixels),
            )
        }
        if METADATA in inputs:
            known = inputs[METADATA]
            described[METADATA] = MetadataInput(
                shape=known.shape, columns=self.columns, **quantization_of(known)
            )
        returned: dict[str, OutputRecord] = {
            PROBABILITIES: ProbabilitiesOutput(
                shape=scores.shape,
                activation=self.activation,
                applied=self.applied,
                temperature=temperature,
                **quantization_of(scores),
            )
        }
        # The distance to the training pictures is described once it is fitted.
        if METADATA_EVIDENCE in outputs:
            share = outputs[METADATA_EVIDENCE]
            returned[METADATA_EVIDENCE] = MetadataEvidenceOutput(shape=share.shape, **quantization_of(share))
        if EVIDENCE in outputs:
            maps = outputs[EVIDENCE]
            returned[EVIDENCE] = EvidenceOutput(
                shape=maps.shape, tolerance_steps=EVIDENCE_STEPS, **quantization_of(maps)
            )
        return TensorInterface(signature=key, inputs=described, outputs=returned)

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each input of a file that is made of the source, by name."""
        if self.network is not None:
            return self.network.frozen.input_shapes
        return {PICTURE: self.pixels.shape(self.picture.size)}

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each output of a file that is made of the source, by name."""
        if self.network is not None:
            return self.network.frozen.output_shapes
        return {PROBABILITIES: (1, 1 if self.activation is Activation.SIGMOID else len(self.labels))}


def read_split(
    dataset: Dataset,
    split: Split,
    *,
    labels: Sequence[str],
    picture: SourcePicture,
    where: Path,
    threads: int,
    columns: Sequence[MetadataColumn] = (),
    track: Track = silent,
) -> Examples:
    """Return the prepared pictures of a split, with the labels in the order of the network's outputs."""
    require_known_labels(dataset, labels, where=where)
    examples = read_examples(
        dataset,
        split,
        size=picture.size,
        policy=picture.policy,
        threads=threads,
        columns=tuple(columns),
        track=track,
    )
    positions = [labels.index(label) for label in examples.classes]
    truth = as_truth([positions[index] for index in examples.truth])
    return replace(examples, classes=tuple(labels), truth=truth)
