"""Provide the specification of a network: architecture, size, head. No TensorFlow is needed for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from dermpack.contract import MetadataColumn
from dermpack.errors import InputError

ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)  # the widths that ImageNet weights were published for
BUNDLED_ALPHA = 0.35
MIN_SIZE, MIN_BACKBONE_SIZE, MAX_SIZE = 28, 96, 600
MAX_UNITS = 8192  # per layer of the head or of scratch_cnn: a phone cannot use a wider one
MAX_WEIGHTS = 100_000_000  # of these layers together: 0.4 GB, and three times that in training
MAX_KERNEL = 11
METADATA_DENSE = (32,)
PLAIN_FILTERS, PLAIN_KERNEL = (32, 64, 128), 3


class Arch(Enum):
    """The backbones; `.value` is the name at the command line and in the record of a run."""

    MOBILENET_V2 = "mobilenet_v2"
    EFFICIENTNET_B0 = "efficientnet_b0"
    EFFICIENTNET_B1 = "efficientnet_b1"
    EFFICIENTNET_B2 = "efficientnet_b2"
    EFFICIENTNET_B3 = "efficientnet_b3"
    EFFICIENTNET_B4 = "efficientnet_b4"
    EFFICIENTNET_LITE0 = "efficientnet_lite0"
    EFFICIENTNET_LITE1 = "efficientnet_lite1"
    EFFICIENTNET_LITE2 = "efficientnet_lite2"
    RESNET50 = "resnet50"
    SCRATCH_CNN = "scratch_cnn"
    METADATA = "metadata"  # no picture: patient metadata alone

    @property
    def is_efficientnet(self) -> bool:
        """Whether it is one of B0 to B4, which Keras builds, and not a Lite."""
        return self.value.startswith("efficientnet_b")

    @property
    def is_lite(self) -> bool:
        return self.value.startswith("efficientnet_lite")

    @property
    def qat_refusal(self) -> str | None:
        """The reason why quantization-aware training does not support it, or None."""
        return "tfmot cannot quantize the Multiply of EfficientNet" if self.is_efficientnet else None


class Head(Enum):
    """The activation of the last layer: one output per class, or a single one for two classes."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


class Join(Enum):
    """How the metadata is joined with the pooled features of the picture."""

    CONCAT = "concat"  # side by side
    GATES = "gates"  # the metadata scales and shifts each feature (MetaBlock, Pacheco and Krohling 2021)


class Weights(Enum):
    """The initial weights of the backbone where no file is given."""

    IMAGENET = "imagenet"
    BUNDLED = "bundled"  # those of mobilenet_v2 0.35, which are part of this package
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataBranch:
    """The second input of a network: its columns, the layers on them, and how the result is joined."""

    columns: tuple[MetadataColumn, ...]
    join: Join = Join.CONCAT
    dense: tuple[int, ...] = METADATA_DENSE

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return sum(column.slots for column in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """Everything that decides the shape of a network; an invalid combination raises InputError."""

    arch: Arch = Arch.MOBILENET_V2
    alpha: float = 1.0  # MobileNetV2 only
    size: int
    classes: int
    head: Head = Head.SOFTMAX
    dense: tuple[int, ...] = ()
    dropout: float = 0.2
    filters: tuple[int, ...] = PLAIN_FILTERS  # scratch_cnn only
    kernel: int = PLAIN_KERNEL  # scratch_cnn only
    metadata: MetadataBranch | None = None

    @property
    def columns(self) -> tuple[MetadataColumn, ...]:
        """The metadata columns that it takes."""
        return self.metadata.columns if self.metadata else ()

    @property
    def has_picture(self) -> bool:
        """Whether it takes a picture."""
        return self.arch is not Arch.METADATA

    def __post_init__(self) -> None:
        for find_errors in CHECKS:
            for error in find_errors(self):
                raise error


def _shape_errors(spec: NetworkSpec) -> Iterator[InputError]:
    least = MIN_SIZE if spec.arch in (Arch.SCRATCH_CNN, Arch.METADATA) else MIN_BACKBONE_SIZE
    if not least <= spec.size <= MAX_SIZE:
        what, hint = f"not supported by {spec.arch.value}", f"Choose {least} to {MAX_SIZE} px."
        yield InputError(f"--size {spec.size}", what, hint, code="invalid-option")
    if spec.arch is Arch.MOBILENET_V2 and spec.alpha not in ALPHAS:
        choices = ", ".join(map(str, ALPHAS))
        what, hint = "not a width multiplier of mobilenet_v2", f"Choose one of {choices}."
        yield InputError(f"--alpha {spec.alpha}", what, hint, code="invalid-option")
    if spec.arch is not Arch.MOBILENET_V2 and spec.alpha != 1.0:
        what = f"not applicable to {spec.arch.value}"
        yield InputError(f"--alpha {spec.alpha}", what, "Omit it.", code="option-not-applicable")


def _head_errors(spec: NetworkSpec) -> Iterator[InputError]:
    if spec.classes < 2:
        what, hint = "too few for a classifier", "Give at least two classes."
        yield InputError(f"{spec.classes} classes", what, hint, code="too-few-classes")
    if spec.head is Head.SIGMOID and spec.classes != 2:
        what, hint = f"requires 2 classes, not {spec.classes}", "Use --head softmax."
        yield InputError("--head sigmoid", what, hint, code="option-not-applicable")
    if not 0 <= spec.dropout < 1:
        hint = "Choose a value from 0 to below 1."
        yield InputError(f"--dropout {spec.dropout}", "out of range", hint, code="invalid-option")
    if not all(1 <= units <= MAX_UNITS for units in spec.dense):
        hint = f"Choose widths of 1 to {MAX_UNITS}."
        yield InputError(f"--dense {_join(spec.dense)}", "width out of range", hint, code="invalid-option")


def _plain_cnn_errors(spec: NetworkSpec) -> Iterator[InputError]:
    filters, kernel = spec.filters, spec.kernel
    if spec.arch is not Arch.SCRATCH_CNN:
        if (filters, kernel) != (PLAIN_FILTERS, PLAIN_KERNEL):
            what, hint = f"not applicable to {spec.arch.value}", "Omit them, or use --arch scratch_cnn."
            yield InputError("--filters and --kernel", what, hint, code="option-not-applicable")
        return
    if not filters or not all(1 <= count <= MAX_UNITS for count in filters):
        what, hint = "must be one or more counts", f"Choose counts of 1 to {MAX_UNITS}."
        yield InputError(f"--filters {_join(filters)}", what, hint, code="invalid-option")
    if spec.size >> len(filters) < 1:
        what = f"too many layers for {spec.size} px (each layer halves the size)"
        yield InputError(f"--filters {_join(filters)}", what, "Give fewer filters.", code="invalid-option")
    if not 1 <= kernel <= MAX_KERNEL:
        hint = f"Choose 1 to {MAX_KERNEL}."
        yield InputError(f"--kernel {kernel}", "out of range", hint, code="invalid-option")


def _metadata_errors(spec: NetworkSpec) -> Iterator[InputError]:
    if spec.arch is Arch.METADATA and spec.metadata is None:
        what, hint = "requires metadata", "Add --metadata COLUMN,COLUMN."
        yield InputError("--arch metadata", what, hint, code="conflicting-options")
    if spec.metadata is None:
        return
    if not all(1 <= units <= MAX_UNITS for units in spec.metadata.dense):
        where, hint = f"--metadata-dense {_join(spec.metadata.dense)}", f"Choose widths of 1 to {MAX_UNITS}."
        yield InputError(where, "width out of range", hint, code="invalid-option")
    if spec.arch is Arch.METADATA and spec.metadata.join is not Join.CONCAT:
        what, hint = "the architecture takes no picture that metadata could be joined with", "Omit it."
        yield InputError(f"--join {spec.metadata.join.value}", what, hint, code="option-not-applicable")


def _weight_count_errors(spec: NetworkSpec) -> Iterator[InputError]:
    """Limit the product of the widths that the user chooses; the published backbones are not counted."""
    # Consecutive pairs of widths, from the three channels of the pixels up to the classes.
    channels = (3, *spec.filters) if spec.arch is Arch.SCRATCH_CNN else (0,)
    convolutions = sum(below * above * spec.kernel**2 for below, above in pairwise(channels))
    head_widths = (channels[-1], *spec.dense, spec.classes)
    metadata_widths = (spec.metadata.width, *spec.metadata.dense) if spec.metadata else ()
    pairs = (*pairwise(head_widths), *pairwise(metadata_widths))
    dense = sum(below * above for below, above in pairs)
    if convolutions + dense > MAX_WEIGHTS:
        millions, most = (convolutions + dense) // 1_000_000, MAX_WEIGHTS // 1_000_000
        what = f"{millions} million weights are more than the supported {most} million"
        where, hint = "--filters, --kernel, --dense and --metadata-dense", "Choose smaller values."
        yield InputError(where, what, hint, code="network-too-large")


CHECKS = (_shape_errors, _head_errors, _plain_cnn_errors, _metadata_errors, _weight_count_errors)


def _join(counts: tuple[int, ...]) -> str:
    return ",".join(map(str, counts))
