"""Read the manifest of an APK (binary XML) or of an Android archive (text XML).

Binary XML is a list of chunks, each with a type, the size of its header and its whole size. The first chunk
is a pool of strings; a start-element chunk names its element and its attributes by indices into the pool. The
names of Android's own attributes may be missing from the pool: they are found by their resource IDs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

ANDROID = "{http://schemas.android.com/apk/res/android}"
FILE, STRINGS, RESOURCES, START_ELEMENT = 0x0003, 0x0001, 0x0180, 0x0102
UTF8_FLAG = 1 << 8
TYPE_STRING, TYPE_WHOLE, TYPE_HEX, TYPE_BOOLEAN = 0x03, 0x10, 0x11, 0x12
NO_STRING = 0xFFFFFFFF
ATTRIBUTES = {
    0x01010003: "name",
    0x0101020C: "minSdkVersion",
    0x01010270: "targetSdkVersion",
    0x0101000F: "debuggable",
}
ATTRIBUTE_BYTES = 20
MAX_STRINGS = 1 << 16
Element = tuple[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidManifest:
    """The declarations of a manifest; a missing version is None."""

    permissions: tuple[str, ...]
    min_sdk: int | None
    target_sdk: int | None
    is_debuggable: bool


def parse_manifest(data: bytes) -> AndroidManifest:
    """Return what the manifest declares, or raise ValueError if it is malformed."""
    try:
        is_binary = data[:2] == struct.pack("<H", FILE)
        elements = list(_binary_elements(data) if is_binary else _text_elements(data))
    except (struct.error, IndexError, UnicodeDecodeError, ElementTree.ParseError) as error:
        raise ValueError("AndroidManifest.xml is malformed") from error
    if not elements:
        raise ValueError("AndroidManifest.xml contains no element")
    permissions: list[str] = []
    versions: dict[str, int | None] = {}
    is_debuggable = False
    for name, attributes in elements:
        if name in ("uses-permission", "uses-permission-sdk-23"):
            permissions.append(attributes.get("name", "?"))
        elif name == "uses-sdk":
            for key, text in attributes.items():  # a preview has a name instead of a number
                versions[key] = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
        elif name == "application":
            is_debuggable = attributes.get("debuggable") == "true"
    return AndroidManifest(
        permissions=tuple(sorted(set(permissions))),
        min_sdk=versions.get("minSdkVersion"),
        target_sdk=versions.get("targetSdkVersion"),
        is_debuggable=is_debuggable,
    )


def _text_elements(data: bytes) -> Iterator[Element]:
    # In another encoding than UTF-8, the search for entities would find nothing.
    if b"\0" in data:
        raise ValueError("AndroidManifest.xml is not UTF-8")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError("AndroidManifest.xml declares entities")
    for element in ElementTree.fromstring(data, ElementTree.XMLParser(encoding="utf-8")).iter():
        attributes = {
            key.removeprefix(ANDROID): text for key, text in element.attrib.items() if key.startswith(ANDROID)
        }
        yield element.tag, attributes


def _binary_elements(data: bytes) -> Iterator[Element]:
    strings: list[str] = []
    resources: tuple[int, ...] = ()
    (start,) = struct.unpack_from("<H", data, 2)
    while start < len(data):
        kind, header_bytes, size_bytes = struct.unpack_from("<HHI", data, start)
        if size_bytes < max(header_bytes, 8) or start + size_bytes > len(data):
            raise ValueError("AndroidManifest.xml is malformed")
        chunk = data[start : start + size_bytes]
        if kind == STRINGS:
            strings = _string_pool(chunk, header_bytes)
        elif kind == RESOURCES:
            resources = struct.unpack_from(f"<{(len(chunk) - header_bytes) // 4}I", chunk, header_bytes)
        elif kind == START_ELEMENT:
            yield _start_element(chunk[header_bytes:], strings, resources)
        start += size_bytes


def _start_element(body: bytes, strings: list[str], resources: tuple[int, ...]) -> Element:
    _, name, offset, stride, count = struct.unpack_from("<IIHHH", body)
    if stride < ATTRIBUTE_BYTES:  # the attributes would overlap, and cost more than their bytes
        raise ValueError("AndroidManifest.xml is malformed")
    attributes = {}
    for index in range(count):
        _, key, raw, _, _, kind, value = struct.unpack_from("<IIIHBBI", body, offset + stride * index)
        known = ATTRIBUTES.get(resources[key]) if key < len(resources) else None
        if kind == TYPE_STRING:
            text = strings[value]
        elif kind == TYPE_BOOLEAN:
            text = "true" if value else "false"
        elif kind in (TYPE_WHOLE, TYPE_HEX):
            text = str(value)
        else:
            text = "" if raw == NO_STRING else strings[raw]
        attributes[known or strings[key]] = text
    return strings[name], attributes


def _string_pool(chunk: bytes, header_bytes: int) -> list[str]:
    count, _, flags, first, _ = struct.unpack_from("<5I", chunk, 8)
    if count > MAX_STRINGS:
        raise ValueError("AndroidManifest.xml contains too many strings")
    offsets = struct.unpack_from(f"<{count}I", chunk, header_bytes)
    read = _read_utf8 if flags & UTF8_FLAG else _read_utf16
    return [read(chunk, first + offset) for offset in offsets]


def _read_utf8(chunk: bytes, start: int) -> str:
    """Skip the length in characters, read the length in bytes: one byte each, or two from 128 on."""
    start += 2 if chunk[start] & 0x80 else 1
    length = chunk[start]
    if length & 0x80:
        length = (length & 0x7F) << 8 | chunk[start + 1]
        start += 1
    return chunk[start + 1 : start + 1 + length].decode("utf-8", "replace")


def _read_utf16(chunk: bytes, start: int) -> str:
    (length,) = struct.unpack_from("<H", chunk, start)
    if length & 0x8000:
        (low,) = struct.unpack_from("<H", chunk, start + 2)
        length = (length & 0x7FFF) << 16 | low
        start += 2
    return chunk[start + 2 : start + 2 + 2 * length].decode("utf-16-le", "replace")
