"""Remove the metadata of a HEIC without moving a byte, because its list of pictures has absolute positions.

Bytes that are not part of a picture are overwritten with zeros: all stored data of other items (EXIF,
XMP), colour profiles, names, and boxes that the decoder does not need; bytes after the last box are cut off.
Previews and depth maps remain: they show what the picture shows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from dermpack.imaging.heic import FULL_BOX_BYTES, find_meta, read_boxes, read_kinds, read_single_boxes
from dermpack.imaging.rejection import Reason, picture_error

FILE_BOXES = frozenset({b"ftyp", b"meta", b"mdat"})
META_BOXES = frozenset({b"hdlr", b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat", b"grpl"})
PICTURES = frozenset({b"hvc1", b"grid", b"iden", b"iovl", b"tmap"})  # coded, and made of coded ones
PROFILES = (b"prof", b"rICC")  # the other kind of `colr` says how the pixels are coded
HANDLER_BYTES = FULL_BOX_BYTES + 20  # before the name of the program
IN_FILE, IN_LIST = 0, 1  # where the bytes of an item are
MAX_EXTENTS = 1 << 16  # of all items together: fields without bytes make any number of them

Extent = tuple[int, int]


def blank_metadata(data: bytes, where: str) -> bytes:
    """Return the HEIC with the same pixels and without metadata; a blanked file is returned unchanged."""
    changed, end = bytearray(data), 0
    stored: list[Extent] = []  # where the bytes of items can be
    for kind, start, stop in read_boxes(data, 0, len(data), where, is_file=True):
        # The type of the file is first, and counts once; another one can contain anything.
        if kind not in FILE_BOXES or (kind == b"ftyp" and end):
            _free(changed, kind, start, stop)
        elif kind == b"mdat":
            stored.append((start, stop))
        end = stop
    meta = find_meta(data, where)
    boxes = read_single_boxes(data, meta, where)
    for kind, start, stop in read_boxes(data, *meta, where):
        if kind not in META_BOXES:
            _free(changed, kind, start, stop)
        elif kind == b"hdlr":
            _clear(changed, start + HANDLER_BYTES, stop)
    kinds = read_kinds(data, boxes[b"iinf"], where)
    if b"idat" in boxes:
        stored.append(boxes[b"idat"])
    pictures = [extent for item, extent in _find_extents(data, boxes, where) if kinds.get(item) in PICTURES]
    _clear_stored(changed, data, stored, pictures)
    _clear_names(changed, data, boxes[b"iinf"], where)
    _clear_profiles(changed, data, boxes[b"iprp"], where)
    return bytes(changed[:end])


def _clear_stored(changed: bytearray, data: bytes, stored: list[Extent], pictures: list[Extent]) -> None:
    """Clear the stored bytes that do not belong to a picture."""
    for start, stop in stored:
        _clear(changed, start, stop)
        for first, last in _merge(pictures):
            low, high = max(first, start), min(last, stop)
            if low < high:
                changed[low:high] = data[low:high]


def _merge(extents: list[Extent]) -> Iterator[Extent]:
    """Yield the extents without their overlaps: a hostile file has thousands for the same bytes."""
    end = 0
    for start, stop in sorted(extents):
        if stop > end:
            yield max(start, end), stop
            end = stop


def _clear(changed: bytearray, start: int, stop: int) -> None:
    stop = min(stop, len(changed))
    changed[start:stop] = bytes(max(stop - start, 0))


def _free(changed: bytearray, kind: bytes, start: int, stop: int) -> None:
    """Turn a box into one that readers skip; its size and its place stay."""
    # The type is before the content, or before a size of 64 bits.
    type_end = start if changed[start - 4 : start] == kind else start - 8
    changed[type_end - 4 : type_end] = b"free"
    _clear(changed, start, stop)


def _clear_names(changed: bytearray, data: bytes, box: Extent, where: str) -> None:
    """Clear the names and content types of the items, which follow their types."""
    first = box[0] + FULL_BOX_BYTES + (4 if data[box[0]] else 2)
    for kind, start, stop in read_boxes(data, first, box[1], where):
        if kind == b"infe":
            _clear(changed, start + FULL_BOX_BYTES + (8 if data[start] == 2 else 10), stop)


def _clear_profiles(changed: bytearray, data: bytes, box: Extent, where: str) -> None:
    """Turn colour profiles into boxes that readers skip, so that the other properties keep their numbers."""
    for kind, start, stop in read_boxes(data, *box, where):
        for name, first, last in read_boxes(data, start, stop, where) if kind == b"ipco" else ():
            if name == b"colr" and data[first : first + 4] in PROFILES:
                _free(changed, name, first, last)


def _find_extents(data: bytes, boxes: dict[bytes, Extent], where: str) -> Iterator[tuple[int, Extent]]:
    """Yield item and position for each part of each item, as `iloc` lists them."""
    if b"iloc" not in boxes:
        return
    start, end = boxes[b"iloc"]
    version, position = data[start], start + FULL_BOX_BYTES
    sizes = struct.unpack_from(">BB", data, position)
    offset_bytes, length_bytes, base_bytes = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_bytes = sizes[1] & 15 if version else 0
    position += 2

    def read(size: int) -> int:
        nonlocal position
        position += size
        if position > end:
            raise picture_error(where, Reason.TRUNCATED, "ends within the list of its pictures")
        return int.from_bytes(data[position - size : position], "big")

    id_bytes, extents = 4 if version == 2 else 2, 0
    for _ in range(read(id_bytes)):
        item = read(id_bytes)
        method = read(2) & 15 if version else IN_FILE
        read(2)  # the file: always this one
        base = read(base_bytes)
        if method not in (IN_FILE, IN_LIST):
            raise picture_error(where, Reason.UNSUPPORTED, "metadata that is part of another item")
        if method == IN_LIST:
            base += boxes.get(b"idat", (0, 0))[0]
        count = read(2)
        extents += count
        if extents > MAX_EXTENTS:
            raise picture_error(where, Reason.BROKEN, f"its items have more than {MAX_EXTENTS:,} parts")
        for _ in range(count):
            read(index_bytes)
            first = base + read(offset_bytes)
            length = read(length_bytes)
            yield item, (first, first + length if length else len(data))
