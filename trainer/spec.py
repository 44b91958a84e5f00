"""What a network is asked to be, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import Enum
from itertools import pairwise
from typing import Any

from dermpack.errors import InputError

ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)  # the widths that ImageNet weights were published for
MIN_SIZE, MIN_BACKBONE_SIZE, MAX_SIZE = 28, 96, 600
MAX_UNITS = 8192  # per layer of ours: beyond it a phone has no use for the network
MAX_WEIGHTS = 100_000_000  # of ours together: 0.4 GB, three times that in training
PLAIN_FILTERS, PLAIN_KERNEL = (32, 64, 128), 3


class Arch(Enum):
    """The backbones; `.value` is the word at the command line and in the run record."""

    MOBILENET_V2 = "mobilenet_v2"
    EFFICIENTNET_B0 = "efficientnet_b0"
    EFFICIENTNET_B1 = "efficientnet_b1"
    EFFICIENTNET_B2 = "efficientnet_b2"
    EFFICIENTNET_B3 = "efficientnet_b3"
    EFFICIENTNET_B4 = "efficientnet_b4"
    RESNET50 = "resnet50"
    SCRATCH_CNN = "scratch_cnn"

    @property
    def is_efficientnet(self) -> bool:
        return self.value.startswith("efficientnet")

    @property
    def qat_refusal(self) -> str | None:
        """Why quantization-aware training cannot take it, or None."""
        return "tfmot cannot quantize the Multiply of EfficientNet" if self.is_efficientnet else None


class Head(Enum):
    """How the last layer speaks: one output a class, or one for two classes."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


class Weights(Enum):
    """Where the backbone starts when no file is given."""

    IMAGENET = "imagenet"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """Everything that decides a network's shape; a wrong combination cannot be made."""

    arch: Arch = Arch.MOBILENET_V2
    alpha: float = 1.0  # MobileNetV2 only
    size: int
    classes: int
    head: Head = Head.SOFTMAX
    dense: tuple[int, ...] = ()
    dropout: float = 0.2
    filters: tuple[int, ...] = PLAIN_FILTERS  # scratch_cnn only
    kernel: int = PLAIN_KERNEL  # scratch_cnn only

    def __post_init__(self) -> None:
        for errors in (_shape_errors, _head_errors, _plain_errors, _weight_errors):
            for error in errors(self):
                raise error

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: _plain(value) for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkSpec:
        """From what `to_dict` gave; anything else is an error."""
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            odd = sorted(set(values) ^ names)
            raise InputError("network", f"has missing or unknown keys: {', '.join(odd)}", "train it again")
        try:
            return cls(**{name: _typed(name, value) for name, value in values.items()})
        except (TypeError, ValueError) as error:
            raise InputError(
                "network", f"is not a network's description ({error})", "train it again"
            ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _typed(name: str, value: Any) -> Any:
    match name:
        case "arch":
            return Arch(value)
        case "head":
            return Head(value)
        case "dense" | "filters":
            return tuple(_whole(item) for item in value)
        case "alpha" | "dropout":
            return float(value)
    return _whole(value)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _shape_errors(spec: NetworkSpec) -> Iterator[InputError]:
    least = MIN_SIZE if spec.arch is Arch.SCRATCH_CNN else MIN_BACKBONE_SIZE
    if not least <= spec.size <= MAX_SIZE:
        yield InputError(
            f"--size {spec.size}", f"does not suit {spec.arch.value}", f"choose {least} to {MAX_SIZE} px"
        )
    if spec.arch is Arch.MOBILENET_V2 and spec.alpha not in ALPHAS:
        choices = ", ".join(map(str, ALPHAS))
        yield InputError(
            f"--alpha {spec.alpha}", "is not a width of mobilenet_v2", f"choose one of {choices}"
        )
    if spec.arch is not Arch.MOBILENET_V2 and spec.alpha != 1.0:
        yield InputError(f"--alpha {spec.alpha}", f"means nothing to {spec.arch.value}", "leave it out")


def _head_errors(spec: NetworkSpec) -> Iterator[InputError]:
    if spec.classes < 2:
        yield InputError(f"{spec.classes} classes", "cannot be told apart", "give at least two classes")
    if spec.head is Head.SIGMOID and spec.classes != 2:
        yield InputError("--head sigmoid", f"is for two classes, not {spec.classes}", "choose --head softmax")
    if not 0 <= spec.dropout < 1:
        yield InputError(f"--dropout {spec.dropout}", "is not a share", "choose 0 or more, below 1")
    if not all(1 <= units <= MAX_UNITS for units in spec.dense):
        yield InputError(
            f"--dense {_list(spec.dense)}", "has an odd width", f"choose widths of 1 to {MAX_UNITS}"
        )


def _plain_errors(spec: NetworkSpec) -> Iterator[InputError]:
    filters, kernel = spec.filters, spec.kernel
    if spec.arch is not Arch.SCRATCH_CNN:
        if (filters, kernel) != (PLAIN_FILTERS, PLAIN_KERNEL):
            yield InputError(
                "--filters and --kernel", f"mean nothing to {spec.arch.value}", "choose --arch scratch_cnn"
            )
        return
    if not filters or not all(1 <= count <= MAX_UNITS for count in filters):
        yield InputError(
            f"--filters {_list(filters)}", "is no row of counts", f"choose 1 to {MAX_UNITS} each"
        )
    if spec.size >> len(filters) < 1:
        yield InputError(f"--filters {_list(filters)}", f"halve {spec.size} px away", "give fewer of them")
    if not 1 <= kernel <= 11:
        yield InputError(f"--kernel {kernel}", "is not a window's width", "choose 1 to 11")


def _weight_errors(spec: NetworkSpec) -> Iterator[InputError]:
    """What the widths multiply to, backbones of others left out."""
    plain = spec.arch is Arch.SCRATCH_CNN
    channels = (3, *spec.filters) if plain else (0,)
    convolutions = sum(a * b * spec.kernel**2 for a, b in pairwise(channels))
    dense = sum(a * b for a, b in pairwise((channels[-1], *spec.dense, spec.classes)))
    if convolutions + dense > MAX_WEIGHTS:
        what = f"ask for {(convolutions + dense) // 1_000_000} million weights"
        yield InputError("--filters, --kernel and --dense", what, "choose smaller ones")


def _list(counts: tuple[int, ...]) -> str:
    return ",".join(map(str, counts))
