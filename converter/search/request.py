"""Define the options of a conversion, and check that they fit together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from converter.quantize.calibration import DEFAULT_PICTURES
from converter.quantize.clipping import Clipping
from converter.quantize.tflite_conversion import IoType, Quantization
from dermpack.errors import InputError

MAX_DROP = 1.0  # points of balanced accuracy


class Method(Enum):
    """The way to an int8 file."""

    AUTO = "auto"  # the first of the others whose loss is within the limit
    PTQ = "ptq"
    QAT = "qat"
    SELECTIVE = "selective"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRequest:
    """The quantizations to make, and the options for making them."""

    recipes: tuple[Quantization, ...] = (Quantization.INT8,)
    method: Method = Method.AUTO  # of int8
    io: IoType | None = None  # None: the default of each recipe
    pictures: int = DEFAULT_PICTURES  # to measure ranges on
    clipping: Clipping = Clipping.MINMAX  # of the measured ranges
    max_drop: float = MAX_DROP
    layer_errors: bool = False  # report them even if no layer stays in floating point
    seed: int = 0
    threads: int = 2

    def __post_init__(self) -> None:
        for recipe in self.recipes:
            if self.io is not None and self.io not in recipe.io_types:
                known = ", ".join(io.value for io in recipe.io_types)
                what = f"not supported by {recipe.value}"
                raise InputError(
                    f"--io {self.io.value}", what, f"Choose one of: {known}.", code="option-not-applicable"
                )
        if Quantization.INT8 not in self.recipes and self.method is not Method.AUTO:
            raise _not_applicable(f"--method {self.method.value}", "int8")
        if Quantization.INT8 not in self.recipes and self.layer_errors:
            raise _not_applicable("--layer-errors", "int8")
        if self.clipping is not Clipping.MINMAX:
            self._check_clipping()

    def _check_clipping(self) -> None:
        """Check that the conversion measures ranges at all."""
        option = f"--calibration-method {self.clipping.value}"
        measured = [recipe for recipe in self.recipes if recipe.needs_ranges]
        if not measured:
            raise _not_applicable(option, "int8 and int16x8")
        if measured == [Quantization.INT8] and self.method is Method.QAT:
            what = "applies to measured ranges only, but --method qat trains the ranges"
            raise InputError(option, what, "Use --method ptq.", code="conflicting-options")

    def io_of(self, recipe: Quantization) -> IoType:
        """Return the type of input and output in a file of the recipe."""
        return self.io or recipe.io_types[0]


def _not_applicable(option: str, quantizations: str) -> InputError:
    what = f"applies to {quantizations} only"
    return InputError(option, what, "Add --int8, or omit the option.", code="option-not-applicable")
