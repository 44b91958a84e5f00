"""Formats that carry nothing but pixels: BMP, and GIF with one frame."""

from __future__ import annotations

from dermpack.pixels.containers.container import Container
from dermpack.pixels.verdict import Reason, refusal

FILE_HEADER_BYTES = 14  # of a BMP; its second header begins with its own length
IMAGE, EXTENSION, TRAILER = 0x2C, 0x21, 0x3B
TABLE_FLAG = 0x80


def read_bmp(data: bytes, *, where: str) -> Container:
    header_bytes = int.from_bytes(data[FILE_HEADER_BYTES : FILE_HEADER_BYTES + 4], "little")
    if len(data) < FILE_HEADER_BYTES + max(header_bytes, 4):
        raise refusal(where, Reason.TRUNCATED, "ends within its header")
    return Container(data=data)


def read_gif(data: bytes, *, where: str) -> Container:
    """Skip from block to block: one picture, inside the screen, and the end."""
    try:
        frames = _frames(data)
    except IndexError as error:
        raise refusal(where, Reason.TRUNCATED, "ends before its last block") from error
    screen = _pair(data, 6)
    if len(frames) != 1:
        reason = Reason.ANIMATED if frames else Reason.BROKEN
        raise refusal(where, reason, f"holds {len(frames)} frames")
    left, top, width, height = frames[0]
    if left + width > screen[0] or top + height > screen[1]:
        raise refusal(where, Reason.BROKEN, "has a frame larger than itself")
    return Container(data=data)


def _frames(data: bytes) -> list[tuple[int, int, int, int]]:
    frames: list[tuple[int, int, int, int]] = []
    at = 13 + _table_bytes(data[10])
    while data[at] != TRAILER and len(frames) < 2:
        if data[at] == IMAGE:
            frames.append((*_pair(data, at + 1), *_pair(data, at + 5)))
            at = _behind_blocks(data, at + 11 + _table_bytes(data[at + 9]))
        else:
            at = _behind_blocks(data, at + 2) if data[at] == EXTENSION else at + 1
    return frames


def _behind_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += 1 + data[at]
    return at + 1


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & TABLE_FLAG else 0


def _pair(data: bytes, at: int) -> tuple[int, int]:
    return data[at] | data[at + 1] << 8, data[at + 2] | data[at + 3] << 8
