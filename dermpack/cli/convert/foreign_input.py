"""Options that declare how a model of unknown origin is fed and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dermpack.cli import options

if TYPE_CHECKING:
    from dermpack.inference.foreign_model import DeclaredInput, Triple

RANGES = ("0..255", "0..1", "-1..1", "imagenet", "caffe")
OPTIONS = ("input_range", "mean", "std", "color", "layout", "resize", "head")


def declared_input(command: options.Command) -> options.Command:
    """Add the options; `read_declared_input` turns their values into a record."""
    for option in reversed(
        (
            click.option(
                "--input-range", type=click.Choice(RANGES), metavar="RANGE",
                help="The numbers that a model of another program takes for the pixels: 0..255, 0..1, -1..1, "
                "imagenet (0..1, then mean and deviation of ImageNet, as in PyTorch) or caffe (0..255 "
                "less the mean of ImageNet).  [default: as defined by the file]",
            ),
            click.option(
                "--mean", callback=_read_triple, metavar="R,G,B",
                help="Other numbers: (pixel - mean) / std, for pixels from 0 to 255.",
            ),
            click.option("--std", callback=_read_triple, metavar="R,G,B", help="The divisor for --mean."),
            click.option(
                "--color", type=click.Choice(["RGB", "BGR"]),
                help="The order of the channels.  [default: RGB]",
            ),
            click.option(
                "--layout", type=click.Choice(["NHWC", "NCHW"]),
                help="The order of the dimensions.  [default: by the shape of the input]",
            ),
            click.option(
                "--resize", type=click.Choice(["centre-square", "whole"]),
                help="How a picture becomes a square: its middle, or all of it, distorted.  "
                "[default: centre-square]",
            ),
            click.option(
                "--head", type=click.Choice(["probabilities", "logits"]),
                help="What the output is.  [default: by the last operator of the file]",
            ),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def read_declared_input(values: dict[str, Any]) -> DeclaredInput:
    """Return the record of the options' values, by their names; None means that an option was not given."""
    from dermpack.contract import ColorOrder, PictureLayout
    from dermpack.imaging.preprocessing import Policy
    from dermpack.inference.foreign_model import DeclaredInput, InputRange, OutputHead

    policies = {policy.value.rpartition("-")[0]: policy for policy in Policy}
    return DeclaredInput(
        range=InputRange(values["input_range"]) if values["input_range"] else None,
        mean=values["mean"],
        std=values["std"],
        color=ColorOrder(values["color"]) if values["color"] else None,
        layout=PictureLayout(values["layout"]) if values["layout"] else None,
        policy=policies[values["resize"]] if values["resize"] else None,
        head=OutputHead(values["head"]) if values["head"] else None,
    )


def list_given(values: dict[str, Any]) -> list[str]:
    """Return the options that were given, as the user writes them."""
    return [f"--{name.replace('_', '-')}" for name in OPTIONS if values[name] is not None]


def _read_triple(_context: click.Context, _option: click.Parameter, text: str | None) -> Triple | None:
    """Return three numbers, or one number for all three channels."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    each = numbers * 3 if len(numbers) == 1 else numbers
    if len(each) != 3 or not all(abs(number) < 1e6 for number in each):  # false for NaN, too
        raise click.BadParameter("give one number, or three separated by commas: 123.7,116.3,103.5")
    return each[0], each[1], each[2]
