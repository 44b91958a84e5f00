"""Frames from somebody who is not trusted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from benchmarks.targets.ssh.frame_stream import MOST_LINE_BYTES, Stream, StreamBrokenError


@dataclass(frozen=True)
class Pair:
    """Our stream, and the ends of the pipes that the other side holds."""

    stream: Stream
    theirs_out: int
    theirs_in: int

    def says(self, data: bytes) -> None:
        os.write(self.theirs_out, data)

    def leaves(self) -> None:
        os.close(self.theirs_out)


@pytest.fixture
def pair() -> Iterator[Pair]:
    (of, out), (into, to) = os.pipe(), os.pipe()
    os.set_blocking(to, False)
    yield Pair(Stream(to=to, of=of), out, into)
    for number in (of, out, into, to):
        try:
            os.close(number)
        except OSError:
            continue


def answer(pair: Pair, *, seconds: float = 5.0) -> bytes:
    return pair.stream.answer(seconds=seconds, most_bytes=100)[1]


def test_a_frame_brings_its_bytes(pair: Pair) -> None:
    pair.says(b'{"bytes": 3}\nabc{"bytes": 0}\n')
    assert [answer(pair), answer(pair)] == [b"abc", b""]


def test_what_is_said_arrives_with_its_size(pair: Pair) -> None:
    pair.stream.say({"do": "x"}, b"abc")
    assert os.read(pair.theirs_in, 100) == b'{"do": "x", "bytes": 3}\nabc'


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b'{"bytes": 101}\n', "too many bytes"),
        (b'{"bytes": -1}\n', "too many bytes"),
        (b'{"bytes": 1e9}\n', "too many bytes"),
        (b'{"bytes": "3"}\n', "too many bytes"),
        (b"{}\n", "unexpected"),
        (b"[1]\n", "unexpected"),
        (b"Welcome to your Pi!\n", "unexpected"),
        (b"\xff\xfe\n", "unexpected"),
        (b"[" * 9000 + b"\n", "unexpected"),
        (b"x" * (MOST_LINE_BYTES + 1), "a line"),
        (b'{"error": "no space left", "bytes": 0}\n', "no space left"),
    ],
)
def test_what_is_no_answer_breaks_the_stream(pair: Pair, said: bytes, why: str) -> None:
    pair.says(said)
    with pytest.raises(StreamBrokenError, match=why):
        answer(pair)


@pytest.mark.parametrize("said", [b"", b'{"byt', b'{"bytes": 5}\nabc'])
def test_one_who_leaves_in_the_middle_breaks_the_stream(pair: Pair, said: bytes) -> None:
    pair.says(said)
    pair.leaves()
    with pytest.raises(StreamBrokenError) as caught:
        answer(pair)
    assert caught.value.why == ""


def test_one_who_does_not_answer_breaks_the_stream(pair: Pair) -> None:
    with pytest.raises(StreamBrokenError, match="no response"):
        answer(pair, seconds=0.01)


def test_one_who_takes_nothing_breaks_the_stream(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.targets.ssh.frame_stream.SILENT_SECONDS", 0.01)
    with pytest.raises(StreamBrokenError, match="input"):
        pair.stream.say_raw(bytes(1 << 20))


def test_talking_to_one_who_left_breaks_the_stream(pair: Pair) -> None:
    os.close(pair.theirs_in)
    with pytest.raises(StreamBrokenError):
        pair.stream.say({"do": "nothing"})
