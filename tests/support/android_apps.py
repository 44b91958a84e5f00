"""Write small APKs and Android archives, without the tools of Android."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from dermpack.bundle.apps.verify_app import PAGE_BYTES

LIBRARY, MODEL = "lib/arm64-v8a/libLiteRt.so", "assets/skin/model.tflite"
ATTRIBUTE_IDS = {"name": 0x01010003, "targetSdkVersion": 0x01010270, "debuggable": 0x0101000F}


def elf(alignment: int) -> bytes:
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 3, 183, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    )
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 100, 100, alignment)


def dex(*names: str) -> bytes:
    strings, types, classes = 112, 112 + 4 * len(names), 112 + 8 * len(names)
    texts = classes + 32 * len(names)
    body, offsets = b"", []
    for name in names:
        offsets.append(texts + len(body))
        body += bytes([len(name)]) + name.encode() + b"\0"
    header = bytearray(112)
    header[:8] = b"dex\n035\0"
    count = len(names)
    struct.pack_into("<IIII", header, 56, count, strings, count, types)
    struct.pack_into("<II", header, 96, count, classes)
    numbers = range(count)
    definitions = b"".join(struct.pack("<8I", number, *([0] * 7)) for number in numbers)
    return (
        bytes(header)
        + struct.pack(f"<{count}I", *offsets)
        + struct.pack(f"<{count}I", *numbers)
        + definitions
        + body
    )


def binary_manifest(
    elements: list[tuple[str, Mapping[str, str | int | bool]]], *, utf8: bool = False
) -> bytes:
    """Return a compiled manifest, as aapt2 writes it."""
    texts = [*ATTRIBUTE_IDS, *(name for name, _ in elements)]
    texts += [value for _, attributes in elements for value in attributes.values() if isinstance(value, str)]
    pool, offsets = b"", []
    for text in texts:
        offsets.append(len(pool))
        if utf8:
            pool += bytes([len(text), len(text)]) + text.encode() + b"\0"
        else:
            pool += struct.pack("<H", len(text)) + text.encode("utf-16-le") + b"\0\0"
    pool += bytes(-len(pool) % 4)
    first = 28 + 4 * len(texts)
    strings = struct.pack(
        f"<HHI5I{len(texts)}I",
        1,
        28,
        first + len(pool),
        len(texts),
        0,
        256 if utf8 else 0,
        first,
        0,
        *offsets,
    )
    chunks = (
        strings
        + pool
        + struct.pack(
            f"<HHI{len(ATTRIBUTE_IDS)}I", 0x180, 8, 8 + 4 * len(ATTRIBUTE_IDS), *ATTRIBUTE_IDS.values()
        )
    )
    none = 0xFFFFFFFF
    for name, attributes in elements:
        body = struct.pack("<IIHHHHHH", none, texts.index(name), 20, 20, len(attributes), 0, 0, 0)
        for key, value in attributes.items():
            kind, number = (0x12, -int(value) & none) if isinstance(value, bool) else (0x10, value)
            if isinstance(value, str):
                kind, number = 3, texts.index(value)
            body += struct.pack("<IIIHBBI", none, list(ATTRIBUTE_IDS).index(key), none, 8, 0, kind, number)
        chunks += struct.pack("<HHIII", 0x102, 16, 16 + len(body), 1, none) + body
    return struct.pack("<HHI", 3, 8, 8 + len(chunks)) + chunks


def manifest(*permissions: str, target: int = 36, debuggable: bool = False) -> bytes:
    asked = [("uses-permission", {"name": name}) for name in permissions]
    return binary_manifest(
        [("uses-sdk", {"targetSdkVersion": target}), *asked, ("application", {"debuggable": debuggable})]
    )


def write_app(
    path: Path, files: list[tuple[str, bytes]], *, aligned: bool = True, compressed: str = ""
) -> Path:
    """Write an archive whose libraries begin at a page, as zipalign does it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name)
            if name.endswith(".so") and aligned:
                start = archive.fp.tell() + 30 + len(name)  # type: ignore[union-attr]
                info.extra = bytes(-start % PAGE_BYTES)
            method = zipfile.ZIP_DEFLATED if name == compressed else zipfile.ZIP_STORED
            archive.writestr(info, data, compress_type=method)
    return path


def usual_files() -> list[tuple[str, bytes]]:
    return [
        ("AndroidManifest.xml", manifest()),
        ("classes.dex", dex("La/Main;", "La/Other;")),
        (MODEL, b"a model"),
        (LIBRARY, elf(PAGE_BYTES)),
        ("lib/armeabi-v7a/libLiteRt.so", elf(4096)),  # 32-bit, and 32-bit devices do not have pages of 16 KB
    ]
