"""Read what a worker says, believing nothing: a model may have spoilt its memory."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol.plan import Setting
from benchmarks.protocol.results import (
    AnsweredPictures,
    CountedModel,
    OperatorTime,
    ProfiledModel,
    StepMedians,
    TimedModel,
)
from dermpack.errors import printable

MOST_CHARACTERS = 1 << 16  # of one text: /proc/cpuinfo is the longest
MOST_LINE_CHARACTERS = 500
MOST_TEXTS = 1_000
MOST_ROUNDS = 10_000_000
MOST_OUTPUTS = 10_000  # of one inference
MOST_OPERATORS = 10_000
NUMBERS = ("float32", "uint8", "int8")


class UnreadableError(ValueError):
    """What was said is not what a worker says."""


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise UnreadableError("a text is missing")
    return printable(value[:MOST_LINE_CHARACTERS])


def texts(value: Any) -> dict[str, str]:
    """Names and texts, the ones that are: {"cores": "4"}."""
    pairs = list(value.items())[:MOST_TEXTS] if isinstance(value, Mapping) else []
    return {
        text(name): of[:MOST_CHARACTERS]
        for name, of in pairs
        if isinstance(name, str) and isinstance(of, str)
    }


def entries(said: Mapping[str, Any], *, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """What is said of each model, in the order in which they were asked for."""
    listed = said.get("models")
    if not isinstance(listed, list) or not all(isinstance(entry, Mapping) for entry in listed):
        raise UnreadableError("the list of models is missing")
    if [entry.get("name") for entry in listed] != list(names):
        raise UnreadableError("the listed models are not the requested ones")
    return listed


def peak_bytes(said: Mapping[str, Any]) -> int | None:
    return None if said.get("peak_bytes") is None else _whole(said, "peak_bytes")


def timed(entry: Mapping[str, Any], *, model: str, setting: Setting, peak_bytes: int | None) -> TimedModel:
    rounds_ms = entry.get("rounds_ms")
    if not isinstance(rounds_ms, list) or not 0 < len(rounds_ms) <= MOST_ROUNDS:
        raise UnreadableError("rounds_ms is not a list of rounds")
    turns = _whole(entry, "turns")
    if not turns or len(rounds_ms) % turns:
        raise UnreadableError("the rounds cannot be divided into equal turns")
    return TimedModel(
        model=model,
        setting=setting,
        load_ms=_number(entry.get("load_ms")),
        first_ms=_number(entry.get("first_ms")),
        warm_up_rounds=_whole(entry, "warm_up_rounds"),
        rounds_ms=tuple(_number(of) for of in rounds_ms),
        turns=turns,
        peak_bytes=peak_bytes,
        delegated=text(entry.get("delegated")),
    )


def steps(entry: Mapping[str, Any], *, model: str, setting: Setting) -> StepMedians:
    if "refused" in entry:
        raise UnreadableError(text(entry["refused"]))
    return StepMedians(
        model=model,
        setting=setting,
        rounds=_whole(entry, "rounds"),
        decode_ms=_number(entry.get("decode_ms")),
        resize_ms=_number(entry.get("resize_ms")),
        copy_ms=_number(entry.get("copy_ms")),
        invoke_ms=_number(entry.get("invoke_ms")),
        whole_ms=_number(entry.get("whole_ms")),
    )


def counted(entry: Mapping[str, Any], *, model: str, setting: Setting, inferences: int) -> CountedModel:
    instructions = entry.get("instructions")
    if not isinstance(instructions, list) or len(instructions) != inferences:
        raise UnreadableError("the inferences were not counted")
    counts = [_whole({"instructions": count}, "instructions") for count in instructions]
    delegated = text(entry.get("delegated"))
    return CountedModel(model=model, setting=setting, instructions=tuple(counts), delegated=delegated)


def answered(entry: Mapping[str, Any], *, model: str, setting: Setting, pictures: int) -> AnsweredPictures:
    return AnsweredPictures(
        model=model,
        setting=setting,
        outputs=outputs(entry, pictures=pictures),
        scale=_number(entry.get("scale")),
        zero_point=int(_number(entry.get("zero_point"), least=-256.0)),
    )


def outputs(entry: Mapping[str, Any], *, pictures: int) -> NDArray[np.generic]:
    """The rows of outputs, [pictures, k], as bytes in base64 say them."""
    number, shape = entry.get("dtype"), entry.get("shape")
    if number not in NUMBERS or not isinstance(shape, list) or not shape or shape[0] != pictures:
        raise UnreadableError("the outputs are not one row per picture")
    try:
        data = base64.b64decode(text_of(entry.get("outputs")), validate=True)
        rows = np.frombuffer(data, dtype=number).reshape(pictures, -1)
    except ValueError as error:
        raise UnreadableError("the outputs are truncated") from error
    if not 0 < rows.shape[1] <= MOST_OUTPUTS or math.prod(map(_side, shape)) != rows.size:
        raise UnreadableError("the outputs do not have the declared shape")
    return rows


def text_of(value: Any) -> str:
    """A text of any length: the caller knows what it may be."""
    return value if isinstance(value, str) else ""


def profiled(entry: Mapping[str, Any], *, model: str, setting: Setting) -> ProfiledModel:
    listed = entry.get("operators")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_OPERATORS:
        raise UnreadableError("operators is not a list of operators")
    return ProfiledModel(model=model, setting=setting, operators=tuple(_operator(of) for of in listed))


def _operator(said: Any) -> OperatorTime:
    if not isinstance(said, Mapping):
        raise UnreadableError("an operator is not a JSON object")
    return OperatorTime(
        name=text(said.get("name")),
        count=_whole(said, "count"),
        share=_number(said.get("share")),
        is_delegated=said.get("is_delegated") is True,
    )


def _number(value: Any, *, least: float = 0.0) -> float:
    """A finite number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableError("a number is missing")
    if not least <= value <= MOST_ROUNDS * 1000.0:
        raise UnreadableError("a number is out of range")
    return float(value)


def _whole(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise UnreadableError(f"{name} is not a count")
    return value


def _side(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST_ROUNDS:
        raise UnreadableError("the shape is not valid")
    return value
