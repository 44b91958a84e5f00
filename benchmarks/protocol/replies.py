"""Parse and check what a worker replies; nothing in it is trusted, since a model may corrupt its process."""

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
from dermpack.errors import escape_unprintable

MOST_CHARACTERS = 1 << 16  # of one text: /proc/cpuinfo is the longest
MOST_LINE_CHARACTERS = 500
MOST_TEXTS = 1_000
MOST_ROUNDS = 10_000_000
MOST_OUTPUTS = 10_000  # of one inference
MOST_OPERATORS = 10_000
NUMBERS = ("float32", "uint8", "int8")


class InvalidReplyError(ValueError):
    """A reply does not have the format that workers write."""


def read_texts(value: Any) -> dict[str, str]:
    """Return the entries that are texts, such as {"cores": "4"}."""
    pairs = list(value.items())[:MOST_TEXTS] if isinstance(value, Mapping) else []
    return {
        read_text(name): text[:MOST_CHARACTERS]
        for name, text in pairs
        if isinstance(name, str) and isinstance(text, str)
    }


def read_text(value: Any) -> str:
    """Return one printable line."""
    if not isinstance(value, str):
        raise InvalidReplyError("a text is missing")
    return escape_unprintable(value[:MOST_LINE_CHARACTERS])


def read_entries(reply: Mapping[str, Any], *, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the reply's entry of each requested model, in the order of the request."""
    entries = reply.get("models")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise InvalidReplyError("the list of models is missing")
    if [entry.get("name") for entry in entries] != list(names):
        raise InvalidReplyError("the listed models are not the requested ones")
    return entries


def read_peak_bytes(reply: Mapping[str, Any]) -> int | None:
    return None if reply.get("peak_bytes") is None else _read_count(reply, "peak_bytes")


def read_timed(
    entry: Mapping[str, Any], *, model: str, setting: Setting, peak_bytes: int | None
) -> TimedModel:
    rounds_ms = entry.get("rounds_ms")
    if not isinstance(rounds_ms, list) or not 0 < len(rounds_ms) <= MOST_ROUNDS:
        raise InvalidReplyError("rounds_ms is not a list of rounds")
    # Statistics treat a turn as the unit that is disturbed together.
    turns = _read_count(entry, "turns")
    if not turns or len(rounds_ms) % turns:
        raise InvalidReplyError("the rounds cannot be divided into equal turns")
    return TimedModel(
        model=model,
        setting=setting,
        load_ms=_read_number(entry.get("load_ms")),
        first_ms=_read_number(entry.get("first_ms")),
        warm_up_rounds=_read_count(entry, "warm_up_rounds"),
        rounds_ms=tuple(map(_read_number, rounds_ms)),
        turns=turns,
        peak_bytes=peak_bytes,
        delegated=read_text(entry.get("delegated")),
    )


def read_steps(entry: Mapping[str, Any], *, model: str, setting: Setting) -> StepMedians:
    if "refused" in entry:
        raise InvalidReplyError(read_text(entry["refused"]))
    return StepMedians(
        model=model,
        setting=setting,
        rounds=_read_count(entry, "rounds"),
        decode_ms=_read_number(entry.get("decode_ms")),
        resize_ms=_read_number(entry.get("resize_ms")),
        copy_ms=_read_number(entry.get("copy_ms")),
        invoke_ms=_read_number(entry.get("invoke_ms")),
        whole_ms=_read_number(entry.get("whole_ms")),
    )


def read_counted(entry: Mapping[str, Any], *, model: str, setting: Setting, inferences: int) -> CountedModel:
    instructions = entry.get("instructions")
    if not isinstance(instructions, list) or len(instructions) != inferences:
        raise InvalidReplyError("the inferences were not counted")
    counts = [_read_count({"instructions": count}, "instructions") for count in instructions]
    delegated = read_text(entry.get("delegated"))
    return CountedModel(model=model, setting=setting, instructions=tuple(counts), delegated=delegated)


def read_answered(
    entry: Mapping[str, Any], *, model: str, setting: Setting, pictures: int
) -> AnsweredPictures:
    return AnsweredPictures(
        model=model,
        setting=setting,
        outputs=read_outputs(entry, pictures=pictures),
        scale=_read_number(entry.get("scale")),
        zero_point=int(_read_number(entry.get("zero_point"), least=-256.0)),
    )


def read_outputs(entry: Mapping[str, Any], *, pictures: int) -> NDArray[np.generic]:
    """Decode the outputs, base64 of their bytes, to one row for each picture: [pictures, k]."""
    dtype, shape, text = entry.get("dtype"), entry.get("shape"), entry.get("outputs")
    if dtype not in NUMBERS or not isinstance(shape, list) or not shape or shape[0] != pictures:
        raise InvalidReplyError("the outputs are not one row per picture")
    try:
        data = base64.b64decode(text if isinstance(text, str) else "", validate=True)
        rows = np.frombuffer(data, dtype=dtype).reshape(pictures, -1)
    except ValueError as error:
        raise InvalidReplyError("the outputs are truncated") from error
    # frombuffer accepts any multiple of the pictures: the declared shape must be the same.
    for side in shape:
        if isinstance(side, bool) or not isinstance(side, int) or not 0 < side <= MOST_ROUNDS:
            raise InvalidReplyError("the shape is not valid")
    if not 0 < rows.shape[1] <= MOST_OUTPUTS or math.prod(shape) != rows.size:
        raise InvalidReplyError("the outputs do not have the declared shape")
    return rows


def read_profiled(entry: Mapping[str, Any], *, model: str, setting: Setting) -> ProfiledModel:
    listed = entry.get("operators")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_OPERATORS:
        raise InvalidReplyError("operators is not a list of operators")
    operators = []
    for operator in listed:
        if not isinstance(operator, Mapping):
            raise InvalidReplyError("an operator is not a JSON object")
        name, count = read_text(operator.get("name")), _read_count(operator, "count")
        share, is_delegated = _read_number(operator.get("share")), operator.get("is_delegated") is True
        operators.append(OperatorTime(name=name, count=count, share=share, is_delegated=is_delegated))
    return ProfiledModel(model=model, setting=setting, operators=tuple(operators))


def _read_number(value: Any, *, least: float = 0.0) -> float:
    """Return a finite number; bool is a subclass of int in Python and not a number here."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidReplyError("a number is missing")
    if not least <= value <= MOST_ROUNDS * 1000.0:
        raise InvalidReplyError("a number is out of range")
    return float(value)


def _read_count(entry: Mapping[str, Any], name: str) -> int:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise InvalidReplyError(f"{name} is not a count")
    return value
