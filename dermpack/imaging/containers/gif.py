"""Walk the blocks of a GIF: one picture inside the screen, and the end."""

from __future__ import annotations

from dermpack.imaging.containers.container import Container
from dermpack.imaging.rejection import Reason, refusal

IMAGE, EXTENSION, TRAILER, GRAPHIC_CONTROL = 0x2C, 0x21, 0x3B, 0xF9
TABLE_FLAG = 0x80
HEADER_BYTES = 13
MAX_BLOCKS = 1 << 19  # of up to 255 bytes


def read_gif(data: bytes, *, where: str) -> Container:
    """Keep the picture and its transparency; comments and what applications add are cut off."""
    try:
        kept = _kept(data, where)
    except IndexError as error:
        raise refusal(where, Reason.TRUNCATED, "ends before the last block") from error
    return Container(data=b"".join(kept))


def _kept(data: bytes, where: str) -> list[bytes]:
    at = HEADER_BYTES + _table_bytes(data[10])
    kept, frames = [data[:at]], 0
    while (kind := data[at]) != TRAILER:
        start = at
        if kind == IMAGE:
            frames += 1
            _check_frame(data, at, frames, where)
            at = _behind_blocks(data, at + 11 + _table_bytes(data[at + 9]), where)
        elif kind == EXTENSION:
            at = _behind_blocks(data, at + 2, where)
        else:
            raise refusal(where, Reason.BROKEN, f"contains a block of unknown kind {kind}")
        if kind == IMAGE or data[start + 1] == GRAPHIC_CONTROL:
            kept.append(data[start:at])
    if not frames:
        raise refusal(where, Reason.BROKEN, "contains no frame")
    return [*kept, bytes([TRAILER])]


def _check_frame(data: bytes, at: int, frames: int, where: str) -> None:
    if frames > 1:
        raise refusal(where, Reason.ANIMATED, "contains several frames")
    screen, corner, size = _pair(data, 6), _pair(data, at + 1), _pair(data, at + 5)
    if corner[0] + size[0] > screen[0] or corner[1] + size[1] > screen[1]:
        raise refusal(where, Reason.BROKEN, "contains a frame larger than its screen")


def _behind_blocks(data: bytes, at: int, where: str) -> int:
    for _ in range(MAX_BLOCKS):
        if not data[at]:
            return at + 1
        at += 1 + data[at]
    raise refusal(where, Reason.BROKEN, f"contains more than {MAX_BLOCKS:,} blocks in a row")


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & TABLE_FLAG else 0


def _pair(data: bytes, at: int) -> tuple[int, int]:
    return data[at] | data[at + 1] << 8, data[at + 2] | data[at + 3] << 8
