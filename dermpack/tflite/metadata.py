"""What a .tflite tells an app about its use: what to feed, what the outputs are called."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LABELS_FILE, CALIBRATION_FILE = "labels.txt", "score_calibration.txt"


class Transformation(Enum):
    """What a score goes through before its sigmoid; the value is the format's number."""

    IDENTITY = 0
    LOG = 1
    INVERSE_LOGISTIC = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigmoid:
    """score → scale / (1 + exp(-(slope · g(score) + offset)))."""

    scale: float
    slope: float
    offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCalibration:
    """A sigmoid for each label, and the transformation g before it."""

    transformation: Transformation
    sigmoids: tuple[Sigmoid, ...]
    default_score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The model card inside the file; pixel x means (x - mean) / std, quantized as the input says."""

    name: str
    description: str = ""
    version: str = ""
    author: str = ""
    licence: str = ""
    labels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()  # one number, or one a channel; empty: the file does not say
    std: tuple[float, ...] = ()
    lowest: tuple[float, ...] = ()  # of what is fed, after normalisation
    highest: tuple[float, ...] = ()
    score_threshold: float | None = None
    calibration: ScoreCalibration | None = None
    files: tuple[str, ...] = ()  # names of associated files, when read; writing makes its own
    min_parser_version: str = ""  # likewise


def temperature_calibration(labels: int, temperature: float) -> ScoreCalibration:
    """The sigmoids of a temperature: exact for two labels, and never another order for more of them."""
    sigmoid = Sigmoid(scale=1.0, slope=1 / temperature, offset=0.0)
    return ScoreCalibration(transformation=Transformation.INVERSE_LOGISTIC, sigmoids=(sigmoid,) * labels)
