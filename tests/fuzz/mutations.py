"""Change valid inputs in ways that reach deep into a reader: parts, offsets, values of a tree, tokens.

Every function gets a `random.Random`. Hypothesis passes one whose choices it can make smaller, so that what
is stored of a failure is a short list of small changes.
"""

from __future__ import annotations

import json
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import PurePosixPath
from random import Random
from typing import Any, TypeAlias

from dermpack.bundle.bundle_record import BUNDLE_FILE
from dermpack.bundle.zip_archive import SUMS_FILE, format_checksums, pack_files
from dermpack.contract import CONTRACT_FILE
from dermpack.storage.files import format_json, sha256_of
from tests.fuzz.containers import Parts, find_format, join_zip, split_zip

Mutation: TypeAlias = Callable[[bytes, Random], bytes]
MOST_CHANGES = 4
MOST_BYTES = 1 << 20  # of a case; a bomb is small
SMALL_WORDS = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF)
WORDS = (*SMALL_WORDS, 1 << 20, 1 << 28, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)
HOSTILE_TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\x1b[2J\x1b]0;x\x07",
        "\u202egnp.exe",
        "a\nb",
        "\ud800",
        "=1+1",
        "é" * 300,
        "x" * 70_000,
    ),
    *("../../etc/passwd", "/etc/passwd", "a/" * 300, "C:\\x", "con", "-rf", "%s%n", "'\"`$(id)", "\ufeff"),
    *("nan", "inf", "-0", "1e999", "9" * 40, "0x10", "1_000", "٣", "true", "null", "<script>", "{{7*7}}"),
)
HOSTILE_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e-320, 1e308, -1e308, 2**31, 2**53, 2**63, 2**64, 10**29),
    *(float("nan"), float("inf"), [], {}, [[]], [None], {"": None}, [0] * 2_000, [[0] * 3] * 300),
    *HOSTILE_TEXTS,
)
# Programs in a pickle that call a function, read outside of the stack, or ask for much memory.
PICKLES = (
    *(
        b"cos\nsystem\n",
        b"cposix\nsystem\nX\x04\x00\x00\x00true\x85R",
        b"c__builtin__\neval\n",
        b"\x93",
        b"R",
    ),
    *(
        b"b",
        b"0",
        b"2",
        b"\x85",
        b"\x94" * 50,
        b"j\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\x7f",
        b"(l",
        b"]" * 2_000,
    ),
    *(
        b"X\xff\xff\xff\xff",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"r\xff\xff\xff\x7f",
        b"\x95" + b"\xff" * 8,
    ),
    *(
        b"i__main__\nx\n",
        b"P1\n",
        b"Q",
        b"\x97",
        b"\x98",
        b"\x82\x01",
        b"L" + b"9" * 5_000 + b"L\n",
        b"N",
        b"}",
        b".",
    ),
)


def mutate(name: str, data: bytes, random: Random) -> bytes:
    """Return the content of a file of this name with a few changes."""
    mutations = _mutations_of(name, data)
    for _ in range(random.randint(1, MOST_CHANGES)):
        data = random.choice(mutations)(data, random)[:MOST_BYTES]
    return data


def _mutations_of(name: str, data: bytes) -> Sequence[Mutation]:
    """Return the mutations that know the format, more often than the one that knows none."""
    suffix = PurePosixPath(name).suffix
    if suffix == ".json":
        return (change_tree, change_tree, change_tree, change_tokens, change_bytes)
    if suffix in (".toml", ".csv", ".txt"):
        return (change_tokens, change_lines, change_tokens, change_lines, change_bytes)
    if suffix == ".pickle":
        return (change_opcodes, change_opcodes, change_bytes)
    if suffix == ".tflite":
        return (change_offsets, change_offsets, change_words, change_bytes, copy_part)
    if suffix == ".bundle":
        return (change_bundle, change_bundle, change_entries, change_words, change_bytes)
    if suffix in (".npz", ".apk", ".aar"):
        return (change_entries, change_entries, change_words, change_bytes)
    if suffix == ".h5":
        return (partial(change_words, size=8), change_words, change_offsets, change_bytes, copy_part)
    with_parts = (change_parts, change_parts) if find_format(data) else ()
    return (*with_parts, change_words, change_bytes, copy_part)


def change_bytes(data: bytes, random: Random) -> bytes:
    """Truncate, overwrite, insert, repeat or flip bits anywhere."""
    start = random.randint(0, len(data))
    end = min(len(data), start + random.choice((1, 2, 4, 16, 256)))
    return random.choice(
        (
            lambda: data[:start],
            lambda: data[:start] + data[end:],
            lambda: data[:start] + random.randbytes(end - start) + data[end:],
            lambda: data[:start] + bytes(end - start) + data[end:],
            lambda: data[:start] + random.randbytes(random.randint(1, 16)) + data[start:],
            lambda: data[:start] + data[start:end] * random.choice((2, 100, 10_000)) + data[end:],
            lambda: data[:start] + bytes(b ^ 1 << random.randint(0, 7) for b in data[start:end]) + data[end:],
        )
    )()


def change_words(data: bytes, random: Random, *, size: int = 4) -> bytes:
    """Replace a word by a number that counts, sizes and offsets are compared with."""
    if len(data) < size:
        return data + bytes(size)
    alignment = random.choice((size, 2, 1))
    start = random.randint(0, (len(data) - size) // alignment) * alignment
    width = random.choice((size, 2))
    value = random.choice((*WORDS, len(data), len(data) - 1, start, random.randint(0, len(data))))
    word = (value % (1 << 8 * width)).to_bytes(width, "little")
    word = word[:: random.choice((1, -1))]
    return data[:start] + word + data[start + width :]


def change_offsets(data: bytes, random: Random) -> bytes:
    """Let a word that could be an offset within the file lead elsewhere: to itself, back, far away."""
    words = [
        index
        for index, (word,) in enumerate(struct.iter_unpack("<i", data[: len(data) // 4 * 4]))
        if word and 0 <= 4 * index + word < len(data)
    ]
    if not words:
        return change_words(data, random)
    start = 4 * random.choice(words)
    target = random.choice((start, 0, 4, len(data) - 1, len(data), 4 * random.choice(words)))
    return data[:start] + struct.pack("<i", target - start) + data[start + 4 :]


def copy_part(data: bytes, random: Random) -> bytes:
    """Write a part of the file over another one."""
    size = random.choice((4, 8, 16, 64, 512))
    source, target = (random.randint(0, max(len(data) - size, 0)) for _ in range(2))
    return data[:target] + data[source : source + size] + data[target + size :]


def change_parts(data: bytes, random: Random) -> bytes:
    """Drop, repeat, move, rename, fill or change a part; lengths and checksums stay valid."""
    found = find_format(data)
    if found is None:
        return change_bytes(data, random)
    try:
        parts = found.split(data)
    except (struct.error, IndexError):
        return change_bytes(data, random)
    return found.join(_change_list(parts, random)) if parts else data


def _change_list(parts: Parts, random: Random) -> Parts:
    """Change one part of the list, or its place."""
    index, other = random.randrange(len(parts)), random.randrange(len(parts))
    before, (tag, content), after = parts[:index], parts[index], parts[index + 1 :]
    kind = random.randrange(8)
    if kind == 0:
        return [*before, *after]
    if kind == 1:
        return [*before, *[(tag, content)] * random.choice((2, 3, 100, 5_000)), *after]
    if kind == 2:
        moved = [*before, *after]
        moved.insert(other, (tag, content))
        return moved
    if kind == 3:
        return [*before, (parts[other][0] or tag, content), *after]
    if kind == 4:
        return [*before, (tag, _bomb(content)), *after]
    if kind == 5:
        return [*before, (tag, random.choice((b"", b"\0", bytes(60_000)))), *after]
    change = change_words if kind == 6 else change_bytes
    return [*before, (tag, change(content, random)), *after]


def _bomb(content: bytes) -> bytes:
    """Return a deflate stream that goes on for 32 MiB after its own content; other content as it is."""
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(content, MOST_BYTES)
    except zlib.error:
        return content
    packer = zlib.compressobj(1)
    zeros = bytes(1 << 20)
    return packer.compress(plain) + b"".join(packer.compress(zeros) for _ in range(32)) + packer.flush()


def change_tree(data: bytes, random: Random) -> bytes:
    """Change a value, a key or the shape of a JSON document."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return change_tokens(data, random)
    path = _random_path(tree, random)
    if random.randrange(20) == 0:
        return b'{"a":' * 3_000 + data
    changed = _replace(tree, path, random)
    text = json.dumps(changed, indent=random.choice((None, 2)), sort_keys=True)
    return text.encode("utf-8", "surrogatepass")


def _random_path(tree: Any, random: Random) -> list[Any]:
    """Return the keys and indices that lead to a random value, more often a deep one."""
    path = []
    while isinstance(tree, dict | list) and tree and random.randrange(6):
        key = random.choice(sorted(tree)) if isinstance(tree, dict) else random.randrange(len(tree))
        path.append(key)
        tree = tree[key]
    return path


def _replace(tree: Any, path: Sequence[Any], random: Random) -> Any:
    """Return the tree with another value at the path; the tree itself stays as it is."""
    if path:
        copy = dict(tree) if isinstance(tree, dict) else list(tree)
        copy[path[0]] = _replace(tree[path[0]], path[1:], random)
        return copy
    kind = random.randrange(6)
    if isinstance(tree, dict) and tree and kind < 4:
        key = random.choice(sorted(tree))
        rest = {name: value for name, value in tree.items() if name != key}
        renamed = {**rest, random.choice(HOSTILE_TEXTS): tree[key]}
        swapped = {**tree, key: tree[random.choice(sorted(tree))]}
        return (rest, renamed, swapped, {**tree, "unknown": 1})[kind]
    if isinstance(tree, list) and tree and kind < 3:
        return (tree[1:], tree * random.choice((2, 50)), [*tree, tree[0]])[kind]
    if isinstance(tree, int | float) and kind < 2:
        return random.choice((-tree, tree + 1, tree * 1_000, tree / 3))
    return random.choice(HOSTILE_VALUES)


def change_tokens(data: bytes, random: Random) -> bytes:
    """Replace a word, a number or a sign of a text by a hostile one."""
    text = data.decode("utf-8", "surrogateescape")
    tokens = [found.span() for found in re.finditer(r"[\w.-]+|[^\w\s]", text)]
    start, end = random.choice(tokens) if tokens else (0, 0)
    signs = ("[", "{", '"', "'", "#", "=", ",", ";", "\n", "\r", "\t", "[" * 2_000, "NaN", "1" * 5_000)
    word = random.choice((*signs, *HOSTILE_TEXTS))
    changed = text[:start] + word + text[end if random.randrange(2) else start :]
    return changed.encode("utf-8", "surrogatepass" if "\ud800" in changed else "surrogateescape")


def change_lines(data: bytes, random: Random) -> bytes:
    """Drop, repeat, swap or join lines of a text, or add cells to one."""
    lines = data.split(b"\n")
    index, other = random.randrange(len(lines)), random.randrange(len(lines))
    kind = random.randrange(5)
    if kind == 0:
        del lines[index]
    elif kind == 1:
        lines[index:index] = [lines[index]] * random.choice((1, 100, 10_000))
    elif kind == 2:
        lines[index], lines[other] = lines[other], lines[index]
    elif kind == 3:
        lines[index] += b"," * random.choice((1, 100, 2_000))
    else:
        lines[index] += lines[other]
    return b"\n".join(lines)


def change_opcodes(data: bytes, random: Random) -> bytes:
    """Drop, repeat or insert instructions of a pickle."""
    starts = []
    try:
        starts = [start for _, _, start in pickletools.genops(data) if start is not None]
    except (ValueError, UnicodeDecodeError, EOFError, struct.error, OverflowError, MemoryError):
        return change_bytes(data, random)
    index = random.randrange(len(starts))
    start, end = starts[index], starts[index + 1] if index + 1 < len(starts) else len(data)
    other = random.choice(starts)
    return random.choice(
        (
            data[:start] + data[end:],
            data[:end] + data[start:end] * random.choice((1, 50)) + data[end:],
            data[:start] + random.choice(PICKLES) + data[start:],
            data[:start] + random.choice(PICKLES) + data[end:],
            data[:start] + data[other:],
        )
    )


def change_entries(data: bytes, random: Random) -> bytes:
    """Change one entry of a zip, or its name; the zip itself stays valid."""
    parts = _entries(data)
    if not parts:
        return change_bytes(data, random)
    if random.randrange(3):
        return join_zip(_change_list(parts, random))
    index = random.randrange(len(parts))
    name = random.choice(HOSTILE_TEXTS).encode("utf-8", "surrogatepass")
    return join_zip([*parts[:index], (name, parts[index][1]), *parts[index + 1 :]])


def change_bundle(data: bytes, random: Random) -> bytes:
    """Change a file of a bundle, and its hash in SHA256SUMS: only what is read behind it can notice."""
    entries = {name.decode("ascii", "ignore"): content for name, content in _entries(data)}
    # All files may lie in one folder of the zip.
    root = next((name.removesuffix(SUMS_FILE) for name in entries if name.endswith(SUMS_FILE)), "")
    files = {name.removeprefix(root): content for name, content in entries.items()}
    names = sorted(name for name in files if name != SUMS_FILE)
    if not names:
        return change_bytes(data, random)
    records = [name for name in names if name.endswith(".json")] or names
    name = random.choice(records if random.randrange(4) else names)
    kind = random.randrange(12)
    if kind == 0:
        del files[name]
    elif kind == 1:
        files[random.choice(HOSTILE_TEXTS).encode("ascii", "replace").decode()] = files[name]
    else:
        files[name] = random.choice(_mutations_of(name, files[name]))(files[name], random)[:MOST_BYTES]
    # The record contains the hashes of the contracts; half of the time they are right again.
    if random.randrange(2):
        _correct_hashes(files)
    files[SUMS_FILE] = format_checksums(files).encode("utf-8", "replace")
    packed = {f"{root}{name}": content for name, content in files.items() if len(name) < 0xFF00}
    return pack_files(packed)


def _correct_hashes(files: dict[str, bytes]) -> None:
    """Let the bundle's record state the hashes of the contracts that the files have now."""
    try:
        record = json.loads(files[BUNDLE_FILE])
        for part in record["variants"]:
            name = next(
                each for each in files if each.endswith(f"{part['folder']}/{CONTRACT_FILE}".lstrip("/"))
            )
            part["contract_sha256"] = sha256_of(files[name])
        files[BUNDLE_FILE] = format_json(record).encode("utf-8", "replace")
    except (ValueError, TypeError, KeyError, RecursionError, StopIteration):
        return


def _entries(data: bytes) -> Parts:
    try:
        return split_zip(data)
    except (
        zipfile.BadZipFile,
        ValueError,
        OSError,
        NotImplementedError,
        RuntimeError,
        struct.error,
        EOFError,
    ):
        return []
