"""Check the container of a HEIC photograph, and decode its primary picture with pillow-heif (extra heic).

HEIC is a tree of boxes: `meta` lists items (coded pictures, grids of them, EXIF) and their properties, `mdat`
has their bytes. Everything that limits the work is read here first: the size of each picture (`ispe`), and
the tiles of a grid, which is how phones store large photographs. libheif turns and mirrors the picture as its
properties say (`irot`, `imir`); the orientation in EXIF repeats that and must not be applied again.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING

from dermpack.errors import MissingExtraError, PictureError
from dermpack.imaging.rejection import Reason, picture_error

if TYPE_CHECKING:
    from PIL import Image

HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
CODED, GRID = b"hvc1", b"grid"  # the types of items that are decoded
FULL_BOX_BYTES = 4  # version and flags
MAX_BOXES = 1024  # in one box; a photograph has a dozen, and some hundred properties
MAX_ITEMS = 1000  # libheif has the same limit; a grid of 100 megapixels has some 400
MAX_META_BYTES = 1 << 20  # a phone writes some 10 KB
# The tiles of a grid reach over its right and lower edge by less than one tile.
MAX_TILE_SHARE, TILE_SLACK_PIXELS = 2, 1 << 20

REPEATABLE = (b"free", b"skip", b"uuid")  # boxes that can occur more than once in any other

Box = tuple[bytes, int, int]  # type, and the start and end of the content


@dataclass(frozen=True, slots=True, kw_only=True)
class _Items:
    """What `meta` lists."""

    primary: int
    kinds: dict[int, bytes]  # item → type
    sizes: dict[int, tuple[int, int]]  # item → width and height
    tiles: dict[int, tuple[int, ...]]  # grid → items


def find_heic_size(data: bytes, where: str) -> tuple[int, int]:
    """Check the container, and return the largest width and height that a picture in it declares."""
    if find_spec("pillow_heif") is None:
        hint = MissingExtraError("pillow_heif", "heic").hint
        what = "HEIC is decoded by an optional package, dermpack[heic]"
        raise PictureError(where, Reason.MISSING_EXTRA.value, what, hint)
    try:
        items = _read_items(data, find_meta(data, where), where)
    except struct.error as error:
        raise picture_error(where, Reason.TRUNCATED, "ends within the list of its pictures") from error
    kind = items.kinds.get(items.primary)
    if kind is None:
        raise picture_error(where, Reason.BROKEN, "the list of pictures does not contain the primary one")
    tiles = items.tiles.get(items.primary, ()) if kind == GRID else (items.primary,)
    other = next((items.kinds.get(item, b"?") for item in tiles if items.kinds.get(item) != CODED), None)
    if other is not None or not tiles:
        coding = (other or b"?").decode("latin-1")
        raise picture_error(where, Reason.UNSUPPORTED, f"pictures of the type {coding!r} are not supported")
    if any(item not in items.sizes for item in (items.primary, *tiles)):
        raise picture_error(where, Reason.BROKEN, "does not declare the size of a picture")
    # A grid may name one tile a thousand times, and each time it would be decoded.
    width, height = items.sizes[items.primary]
    tile_pixels = sum(items.sizes[item][0] * items.sizes[item][1] for item in tiles)
    if tile_pixels > MAX_TILE_SHARE * width * height + TILE_SLACK_PIXELS:
        what = f"its tiles have {tile_pixels:,} pixels, but the picture has {width * height:,}"
        raise picture_error(where, Reason.DECOMPRESSION_BOMB, what)
    widths, heights = zip(*items.sizes.values(), strict=True)
    return max(widths), max(heights)


def open_heic(file: BytesIO) -> Image.Image:
    """Return the primary picture, upright; it is decoded at once."""
    import pillow_heif

    # Only the primary picture is used: no previews, depth maps or gain maps. One thread, for equal work.
    options = pillow_heif.options
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = options.DISABLE_SECURITY_LIMITS = False
    options.DECODE_THREADS = 1
    image: Image.Image = pillow_heif.open_heif(file.getvalue(), convert_hdr_to_8bit=True).to_pillow()
    image.info = {}
    return image


def find_meta(data: bytes, where: str) -> tuple[int, int]:
    """Return the content of the `meta` box; every box of the file must be complete."""
    meta: tuple[int, int] | None = None
    has_sequence = False
    for kind, start, end in read_boxes(data, 0, len(data), where, is_file=True):
        if kind == b"meta":
            if meta is not None:  # libheif could use another one than the one that is checked
                raise picture_error(where, Reason.BROKEN, "contains two lists of pictures")
            meta = start + FULL_BOX_BYTES, end
        has_sequence |= kind == b"moov"
    if meta is None:
        reason, what = Reason.TRUNCATED, "ends before the list of its pictures"
        if has_sequence:
            reason, what = Reason.ANIMATED, "contains a sequence of pictures only"
        raise picture_error(where, reason, what)
    if meta[1] - meta[0] > MAX_META_BYTES:
        raise picture_error(where, Reason.BROKEN, f"its list of pictures exceeds {MAX_META_BYTES:,} bytes")
    return meta


def read_boxes(data: bytes, start: int, end: int, where: str, *, is_file: bool = False) -> Iterator[Box]:
    """Yield the boxes between two positions; some cameras append bytes that are not a box."""
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, content)
            content += 8
        stop = end if size == 0 else start + size
        if stop < content or stop > end:
            if is_file and kind not in (b"ftyp", b"meta", b"mdat", b"moov"):
                return
            raise picture_error(where, Reason.TRUNCATED, f"ends within a box of {size:,} bytes")
        yield kind, content, stop
        start = stop
    raise picture_error(where, Reason.BROKEN, f"contains more than {MAX_BOXES} boxes in a row")


def read_single_boxes(
    data: bytes, extent: tuple[int, int], where: str, repeated: Collection[bytes] = ()
) -> dict[bytes, tuple[int, int]]:
    """Return type → content of the boxes in an extent; of the `repeated` types, the first box counts.

    Any other type must occur once: libheif could use another one of two boxes than the one that is checked.
    """
    boxes: dict[bytes, tuple[int, int]] = {}
    for kind, start, end in read_boxes(data, *extent, where):
        if kind in boxes and kind not in REPEATABLE and kind not in repeated:
            raise picture_error(where, Reason.BROKEN, f"contains two boxes {kind.decode('latin-1')!r}")
        boxes.setdefault(kind, (start, end))
    return boxes


def _read_items(data: bytes, meta: tuple[int, int], where: str) -> _Items:
    boxes = read_single_boxes(data, meta, where)
    missing = [name for name in (b"pitm", b"iinf", b"iprp") if name not in boxes]
    if missing:
        what = f"its list of pictures has no box {missing[0].decode()!r}"
        raise picture_error(where, Reason.BROKEN, what)
    start, _ = boxes[b"pitm"]
    (primary,) = struct.unpack_from(">I" if data[start] else ">H", data, start + FULL_BOX_BYTES)
    properties = read_single_boxes(data, boxes[b"iprp"], where)
    sizes: dict[int, tuple[int, int]] = {}
    for item, size in _read_sizes(data, properties, where):
        sizes.setdefault(item, size)
    return _Items(
        primary=primary,
        kinds=read_kinds(data, boxes[b"iinf"], where),
        sizes=sizes,
        tiles=_read_tiles(data, boxes.get(b"iref"), where),
    )


def read_kinds(data: bytes, box: tuple[int, int], where: str) -> dict[int, bytes]:
    """Return the type of each item in the content of an `iinf` box."""
    start, end = box
    first = start + FULL_BOX_BYTES + (4 if data[start] else 2)
    kinds: dict[int, bytes] = {}
    for kind, content, _ in read_boxes(data, first, end, where):
        # Version 2 has items of 16 bits, version 3 of 32; older ones have no type and are not pictures.
        version = data[content] if kind == b"infe" else 0
        if version in (2, 3):
            form = ">H2x4s" if version == 2 else ">I2x4s"
            item, coding = struct.unpack_from(form, data, content + FULL_BOX_BYTES)
            kinds.setdefault(item, coding)
    if len(kinds) > MAX_ITEMS:
        raise picture_error(where, Reason.BROKEN, f"contains more than {MAX_ITEMS} items")
    return kinds


def _read_sizes(
    data: bytes, properties: dict[bytes, tuple[int, int]], where: str
) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield item and size for each `ispe` that `ipma` associates with an item."""
    if b"ipco" not in properties or b"ipma" not in properties:
        raise picture_error(where, Reason.BROKEN, "does not declare the size of a picture")
    # Properties are numbered from 1.
    size_of_property: dict[int, tuple[int, int]] = {}
    for index, (kind, start, _) in enumerate(read_boxes(data, *properties[b"ipco"], where), start=1):
        if kind == b"ispe":
            width, height = struct.unpack_from(">II", data, start + FULL_BOX_BYTES)
            if not width or not height:
                raise picture_error(where, Reason.BROKEN, "a picture without pixels")
            size_of_property[index] = width, height
    start, end = properties[b"ipma"]
    version, is_wide = data[start], data[start + 3] & 1
    (count,) = struct.unpack_from(">I", data, start + FULL_BOX_BYTES)
    position = start + FULL_BOX_BYTES + 4
    for _ in range(min(count, end - position)):
        item, properties_count = struct.unpack_from(">IB" if version else ">HB", data, position)
        position += 5 if version else 3
        for _ in range(properties_count):
            # The first bit says whether a reader must understand the property.
            index = struct.unpack_from(">H", data, position)[0] & 0x7FFF if is_wide else data[position] & 0x7F
            position += 2 if is_wide else 1
            if index in size_of_property:
                yield item, size_of_property[index]
        if position > end:
            raise picture_error(where, Reason.TRUNCATED, "ends within the list of its pictures")


def _read_tiles(data: bytes, box: tuple[int, int] | None, where: str) -> dict[int, tuple[int, ...]]:
    """Return the items that each grid is made of, in their order."""
    if box is None:
        return {}
    start, end = box
    letter, width = ("I", 4) if data[start] else ("H", 2)
    tiles: dict[int, tuple[int, ...]] = {}
    for kind, content, _ in read_boxes(data, start + FULL_BOX_BYTES, end, where):
        if kind == b"dimg":
            item, count = struct.unpack_from(f">{letter}H", data, content)
            tiles.setdefault(item, struct.unpack_from(f">{count}{letter}", data, content + width + 2))
    return tiles
