"""Define what a conversion starts from, whatever it was: a run, a Keras file or a .tflite file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from converter._private import Keras
from converter.pixel_scale import UNIT_SCALE, PixelScale
from converter.quantize.tflite_conversion import FrozenFunction
from dermpack.contract import (
    PICTURE,
    PROBABILITIES,
    Activation,
    InputEvidence,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePicture:
    """The picture that the network takes: its side, its preparation, and the numbers of its pixels."""

    size: int
    policy: Policy
    pixels: PixelScale = UNIT_SCALE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceNetwork:
    """A network as a flat tf_keras model; it can be converted by every method but the refused ones.

    It takes float32 [n, size, size, 3], scaled as the picture declares, and returns softmax probabilities.
    """

    model: Keras
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

    @property
    def pixels(self) -> PixelScale:
        """The numbers that the network takes for pixels."""
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

    def interface(self, model: ModelFile, temperature: Temperature | None = None) -> TensorInterface:
        """Return how an app feeds and reads a file that was made of the source."""
        pixels, scores = model.inputs[0], model.outputs[0]
        return TensorInterface(
            inputs={
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
            },
            outputs={
                PROBABILITIES: ProbabilitiesOutput(
                    shape=scores.shape,
                    activation=self.activation,
                    applied=self.applied,
                    temperature=temperature,
                    **quantization_of(scores),
                )
            },
        )


def read_split(
    dataset: Dataset,
    split: Split,
    *,
    labels: Sequence[str],
    picture: SourcePicture,
    where: Path,
    threads: int,
    track: Track = silent,
) -> Examples:
    """Return the prepared pictures of a split, with the labels in the order of the network's outputs."""
    require_known_labels(dataset, labels, where=where)
    examples = read_examples(
        dataset, split, size=picture.size, policy=picture.policy, threads=threads, track=track
    )
    positions = [labels.index(label) for label in examples.classes]
    truth = as_truth([positions[index] for index in examples.truth])
    return replace(examples, classes=tuple(labels), truth=truth)
