"""Look whether the header of a BMP is whole; nothing else surrounds its pixels."""

from __future__ import annotations

from dermpack.imaging.containers.container import Container
from dermpack.imaging.rejection import Reason, refusal

FILE_HEADER_BYTES = 14  # the second header begins with its own length


def read_bmp(data: bytes, *, where: str) -> Container:
    header_bytes = int.from_bytes(data[FILE_HEADER_BYTES : FILE_HEADER_BYTES + 4], "little")
    if len(data) < FILE_HEADER_BYTES + max(header_bytes, 4):
        raise refusal(where, Reason.TRUNCATED, "ends within the header")
    return Container(data=data)
