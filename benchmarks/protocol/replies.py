"""Parse and check what a worker replies; nothing in it is trusted, since a model may corrupt its process."""

from __future__ import annotations

import base64
import math
import signal
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import results
from benchmarks.protocol.plan import Setting
from dermpack.errors import escape_unprintable
from dermpack.storage.codec import MAX_ITEMS, decode, encode
from dermpack.storage.files import parse_json

Record = TypeVar("Record")
SHELL_SIGNAL = 128  # a shell reports signal 11 as exit code 139
MOST_CHARACTERS = 1 << 16  # of one text: /proc/cpuinfo is the longest
MOST_LINE_CHARACTERS = 500
MOST_TEXTS = 1_000
MOST_ROUNDS = MAX_ITEMS  # of one model: what can be written must be read again
MOST_ANSWER_BYTES = 64 << 20  # of one reply
# Lists, objects and texts in one reply: parsed, each takes 20 times its bytes, a number four times.
MOST_PARTS = 400_000
PARTS = (b"[", b"{", b'"')
MOST_OUTPUTS = 10_000  # of one inference
MOST_OPERATORS = 10_000
LARGEST = 1 << 53  # of any number: a float represents all integers up to it
SHORTEST_MS, LONGEST_MS = 1e-4, 1e10  # of a round: what a report stores, and four months
NUMBERS = ("float32", "uint8", "int8")


class WorkerFailedError(Exception):
    """The worker ended without an answer; the text is the signal's name or its last line."""


class WorkerTimeoutError(WorkerFailedError):
    """The worker did not answer in time."""


class InvalidReplyError(ValueError):
    """A reply does not have the format that workers write."""


def check_exit_code(code: int, complaint: bytes, *, seconds: float) -> None:
    """Raise WorkerFailedError with the signal's name or the worker's last line unless the exit code is 0."""
    if code > SHELL_SIGNAL:
        code = SHELL_SIGNAL - code
    if code == -signal.SIGALRM:
        raise WorkerTimeoutError(f"no answer within {seconds:g} s")
    if code < 0:
        names = {number.value: number.name for number in signal.Signals}
        raise WorkerFailedError(names.get(-code, f"signal {-code}"))
    if code:
        lines = [line.strip() for line in complaint.decode("utf-8", "replace").split("\n") if line.strip()]
        last = escape_unprintable(lines[-1])[:MOST_LINE_CHARACTERS] if lines else ""
        raise WorkerFailedError(last or f"exit code {code}")


def parse_answer(data: bytes) -> Mapping[str, Any]:
    """Return the worker's JSON object; anything else raises WorkerFailedError."""
    parts = sum(map(data.count, PARTS))
    if len(data) > MOST_ANSWER_BYTES or parts > MOST_PARTS:
        what = f"{len(data)} bytes with {parts} texts and lists"
        raise WorkerFailedError(f"the answer is too large ({what})")
    try:
        answer = parse_json(data)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise WorkerFailedError("the answer is not a JSON object")
    return answer


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
    return escape_unprintable(value[:MOST_LINE_CHARACTERS])[:MOST_LINE_CHARACTERS]


def read_entries(reply: Mapping[str, Any], *, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the reply's entry of each requested model, in the order of the request."""
    entries = reply.get("models")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise InvalidReplyError("the list of models is missing")
    if [entry.get("model") for entry in entries] != list(names):
        raise InvalidReplyError("the listed models are not the requested ones")
    return entries


def read_peak_bytes(reply: Mapping[str, Any]) -> int | None:
    """Return the peak of the worker's memory, which a system without /proc does not report."""
    peak_bytes = reply.get("peak_bytes")
    return None if peak_bytes is None else int(_read_number(peak_bytes))


def read_timed(entry: Mapping[str, Any], *, setting: Setting, peak_bytes: int | None) -> results.TimedModel:
    """Return the latencies of a model; its rounds can be more than the lists of other records."""
    rounds_ms = entry.get("rounds_ms")
    if not isinstance(rounds_ms, list) or not 0 < len(rounds_ms) <= MOST_ROUNDS:
        raise InvalidReplyError("rounds_ms is not a list of rounds")
    others = {**entry, "rounds_ms": [], "setting": encode(setting), "peak_bytes": peak_bytes}
    timed = _decode(results.TimedModel, others)
    # Statistics treat a turn as the unit that is disturbed together.
    if not timed.turns or len(rounds_ms) % timed.turns:
        raise InvalidReplyError("the rounds cannot be divided into equal turns")
    return replace(
        timed,
        rounds_ms=tuple(_read_number(round_ms, least=SHORTEST_MS, most=LONGEST_MS) for round_ms in rounds_ms),
    )


def read_steps(entry: Mapping[str, Any], *, setting: Setting) -> results.StepMedians:
    """Return the steps from picture file to label of one model."""
    if "refused" in entry:
        raise InvalidReplyError(read_text(entry["refused"]))
    return _decode(results.StepMedians, {**entry, "setting": encode(setting)})


def read_counted(entry: Mapping[str, Any], *, setting: Setting, inferences: int) -> results.CountedModel:
    """Return the instructions of each counted inference; the outputs in the entry are not used."""
    wanted = {name: entry.get(name) for name in ("model", "instructions", "delegated")}
    counted = _decode(results.CountedModel, {**wanted, "setting": encode(setting)})
    if (
        len(counted.instructions) != inferences
        or not 0 < min(counted.instructions) <= max(counted.instructions) <= LARGEST
    ):
        raise InvalidReplyError("the inferences were not counted")
    return counted


def read_answered(entry: Mapping[str, Any], *, setting: Setting, pictures: int) -> results.AnsweredPictures:
    """Return the outputs of a model, one row for each picture: [pictures, k]."""
    dtype, shape, text = entry.get("dtype"), entry.get("shape"), entry.get("outputs")
    if dtype not in NUMBERS or not isinstance(shape, list) or not shape or shape[0] != pictures:
        raise InvalidReplyError("the outputs are not one row per picture")
    try:
        data = base64.b64decode(text if isinstance(text, str) else "", validate=True)
        rows: NDArray[np.generic] = np.frombuffer(data, dtype=dtype).reshape(pictures, -1)
    except ValueError as error:
        raise InvalidReplyError("the outputs are truncated") from error
    # frombuffer accepts any multiple of the pictures: the declared shape must be the same.
    sides = [int(_read_number(side, least=1)) for side in shape]
    if not 0 < rows.shape[1] <= MOST_OUTPUTS or math.prod(sides) != rows.size:
        raise InvalidReplyError("the outputs do not have the declared shape")
    return results.AnsweredPictures(
        model=entry["model"],
        setting=setting,
        outputs=rows,
        scale=_read_number(entry.get("scale")),
        zero_point=int(_read_number(entry.get("zero_point"), least=-256)),
    )


def read_profiled(entry: Mapping[str, Any], *, setting: Setting) -> results.ProfiledModel:
    """Return how the time of one inference is divided among the operators."""
    listed = entry.get("operators")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_OPERATORS:
        raise InvalidReplyError("operators is not a list of operators")
    operators = tuple(_decode(results.OperatorTime, operator) for operator in listed)
    return results.ProfiledModel(model=entry["model"], setting=setting, operators=operators)


def _decode(record_type: type[Record], entry: Any) -> Record:
    """Decode an entry to a record of printable texts and of numbers that are not negative."""
    if not isinstance(entry, Mapping):
        raise InvalidReplyError("an entry is not a JSON object")
    # The name of the model is the requested one.
    texts = {
        name: read_text(value) for name, value in entry.items() if isinstance(value, str) and name != "model"
    }
    try:
        record = decode(record_type, {**entry, **texts})
    except ValueError as error:
        raise InvalidReplyError(escape_unprintable(str(error))) from error
    for field in fields(record):  # type: ignore[arg-type] # always a dataclass
        value = getattr(record, field.name)
        if isinstance(value, int | float):
            _read_number(float(value))
    return record


def _read_number(value: Any, *, least: float = 0.0, most: float = LARGEST) -> float:
    """Return a finite number; bool is a subclass of int in Python and not a number here."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidReplyError("a number is missing")
    if not least <= value <= most:
        raise InvalidReplyError("a number is out of range")
    return float(value)
