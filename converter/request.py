"""Define the options of a conversion."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from converter.quantize.clipping import Clipping
from converter.quantize.tflite_conversion import IoType, Quantization
from dermpack.errors import InputError


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
    pictures: int = 200  # to measure ranges on; 100 to 500 is usual
    clipping: Clipping = Clipping.MINMAX  # of the measured ranges
    max_drop: float = 1.0  # points of balanced accuracy
    evidence: bool = False  # return the evidence map as a second output
    familiarity: bool = False  # return the distance to the training pictures, and add quality gates
    layer_errors: bool = False  # report them even if no layer stays in floating point
    seed: int = 0
    threads: int = 2

    def __post_init__(self) -> None:
        for recipe in self.recipes:
            if self.io is not None and self.io not in recipe.io_types:
                option, what = f"--io {self.io.value}", f"not supported by {recipe.value}"
                hint = f"Choose one of: {', '.join(io.value for io in recipe.io_types)}."
                raise InputError(option, what, hint, code="option-not-applicable")
        has_int8 = Quantization.INT8 in self.recipes
        measured = [recipe for recipe in self.recipes if recipe.needs_ranges]
        clipping = f"--calibration-method {self.clipping.value}"
        for is_given, option, is_applicable, quantizations in (
            (self.method is not Method.AUTO, f"--method {self.method.value}", has_int8, "int8"),
            (self.layer_errors, "--layer-errors", has_int8, "int8"),
            (self.clipping is not Clipping.MINMAX, clipping, bool(measured), "int8 and int16x8"),
        ):
            if is_given and not is_applicable:
                what, hint = f"applies to {quantizations} only", "Add --int8, or omit the option."
                raise InputError(option, what, hint, code="option-not-applicable")
        is_trained = measured == [Quantization.INT8] and self.method is Method.QAT
        if is_trained and self.clipping is not Clipping.MINMAX:
            what = "applies to measured ranges only, but --method qat trains the ranges"
            raise InputError(clipping, what, "Use --method ptq.", code="conflicting-options")

    def io_of(self, recipe: Quantization) -> IoType:
        """Return the type of input and output in a file of the recipe."""
        return self.io or recipe.io_types[0]
