"""Compute features of pictures with a small pretrained network, and cache them by content.

    features = compute_features([(file, sha256), …])                  # float32 [n, 1280]
    borders = compute_features(pictures, region=Region.BORDER)         # the outer frame alone

The network is MobileNetV2 0.35, trained on ImageNet, without its classes: picture_features.tflite, see
picture_features.NOTICE.md. It is interpreted in a child process, so TensorFlow is not needed. Pictures of
one thing have a high cosine after `standardize`. With Pose.ANY, so do turned and mirrored copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from dermpack.errors import DatasetError, InputError
from dermpack.imaging.decoding import decode
from dermpack.imaging.picture_decoder import PICTURE_SECONDS, decoding_memory
from dermpack.imaging.preprocessing import MARGIN, Policy, resize_image
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits
from dermpack.inference.interpreter_host import (
    InterpreterHost,
    InterpreterSession,
    Runtime,
    first_installed_runtime,
)
from dermpack.processes.limits import allow_cpu_seconds
from dermpack.processes.process_pool import WorkerLostError, available_jobs, map_in_processes
from dermpack.progress import Track, silent
from dermpack.storage.content_cache import ContentCache, open_content_cache
from dermpack.storage.files import read_error, sha256_of
from dermpack.storage.regular_files import open_regular

Features: TypeAlias = NDArray[np.float32]
SourcePicture: TypeAlias = tuple[Path, str]  # the file of a picture, and the SHA-256 that it must have

MODEL_FILE = Path(__file__).with_name("picture_features.tflite")
MODEL_SHA256 = "dc627ffd2ec7d8c161ac3b6bf68f6fecf5ad40eb564355a859ccee483df6684e"
SIZE = 224  # pixels a side, as in the network's training
LENGTH = 1280
ORIENTATIONS = 8  # four quarter turns, each as it is and mirrored
BORDER_SHARE = 0.1  # of each side, for Region.BORDER
VERSION = 2  # counts changes of this module that change features
CHUNK_PICTURES = 32  # a task of a worker: a second of work
MIN_FOR_PROCESSES = 64  # fewer are computed before a second process has started
CACHE_NAME = "picture-features"
MIN_DEVIATION = 1e-3  # of a feature: a constant one must not be divided by zero


class Pose(Enum):
    """The orientation of a picture at the input of the network; the value is its index in a cached result."""

    UPRIGHT = 0
    ANY = 1  # the mean over the eight orientations: copies that are turned or mirrored have the same features


class Region(Enum):
    """The part of a picture at the input of the network; the rest is grey."""

    WHOLE = "whole"
    BORDER = "border"  # the outer tenth on each side
    CENTRE = "centre"  # what BORDER leaves out


def compute_features(
    pictures: Sequence[SourcePicture],
    *,
    region: Region = Region.WHOLE,
    pose: Pose = Pose.UPRIGHT,
    limits: DecodingLimits = DEFAULT_LIMITS,
    jobs: int | None = None,
    track: Track = silent,
) -> Features:
    """Return float32 [n, 1280] in the order of the pictures; `jobs=None` means all processors.

    Raise MissingExtraError without an interpreter, PictureError for a picture that cannot be decoded, and
    DatasetError for a file whose SHA-256 differs. Computed features are kept in the user's cache, so an
    interrupted call continues where it ended.
    """
    runtime = first_installed_runtime()
    features = np.zeros((len(pictures), LENGTH), dtype=np.float32)
    with open_content_cache(CACHE_NAME, version=_describe_version(runtime, region)) as cache:
        first_of_content: dict[str, int] = {}
        for index, (_, sha256) in enumerate(pictures):
            first_of_content.setdefault(sha256, index)
        missing = []
        for sha256, index in first_of_content.items():
            if (cached := _parse(cache.read(sha256))) is None:
                missing.append(index)
            else:
                features[index] = cached[pose.value]
        tasks = [missing[start : start + CHUNK_PICTURES] for start in range(0, len(missing), CHUNK_PICTURES)]
        chunks = [[pictures[index] for index in task] for task in tasks]
        work = _compute_chunks(chunks, runtime, region, limits, cache, jobs=jobs or available_jobs())
        computed = (each for task, rows in work for each in zip(tasks[task], rows, strict=True))
        for index, row in track(computed, total=len(missing), what="features") if missing else ():
            features[index] = row[pose.value]
    for index, (_, sha256) in enumerate(pictures):
        features[index] = features[first_of_content[sha256]]
    return features


def decode_examined(file: Path, sha256: str, *, limits: DecodingLimits, at_least: int) -> NDArray[np.uint8]:
    """Return the pixels of a picture whose bytes were decoded before, within limits, by an import.

    The hash is compared before the bytes are decoded: other bytes, which could be hostile, are refused.
    Call it in a worker process: its processor time is limited from here on.
    """
    allow_cpu_seconds(PICTURE_SECONDS)
    try:
        with open_regular(file) as opened:
            data = opened.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:
        raise read_error(file, error) from error
    if sha256_of(data) != sha256:
        what, hint = "the picture changed after it was examined", "Import the pictures again."
        raise DatasetError(file, what, hint, code="picture-changed")
    return decode(data, limits=limits, at_least=at_least).pixels


def standardize(features: Features) -> Features:
    """Return unit vectors of the features with mean 0 and deviation 1 over the pictures.

    The product of two of them is the cosine by which pictures are compared.
    """
    unit: Features = features - features.mean(axis=0)
    unit /= features.std(axis=0) + MIN_DEVIATION  # in place: the features can be large
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), MIN_DEVIATION)
    return unit


def _describe_version(runtime: Runtime, region: Region) -> str:
    import importlib.metadata

    version = importlib.metadata.version(runtime.package)
    return f"{VERSION} {MODEL_SHA256} {region.value} {runtime.package} {version} Pillow {PIL.__version__}"


def _parse(data: bytes | None) -> Features | None:
    """Return the features of both poses, or None."""
    if data is None or len(data) != 2 * len(Pose) * LENGTH:
        return None
    return np.frombuffer(data, dtype="<f2").reshape(len(Pose), LENGTH).astype(np.float32)


def _compute_chunks(
    chunks: Sequence[Sequence[SourcePicture]],
    runtime: Runtime,
    region: Region,
    limits: DecodingLimits,
    cache: ContentCache,
    *,
    jobs: int,
) -> Iterator[tuple[int, list[Features]]]:
    """Yield the index and the features of each chunk, in the order of completion."""
    workers = min(jobs, len(chunks)) if sum(map(len, chunks)) >= MIN_FOR_PROCESSES else 1
    work = partial(_compute_chunk, runtime, workers, region, limits, cache)
    try:
        yield from map_in_processes(work, chunks, jobs=workers, most_memory_bytes=decoding_memory(limits))
    except WorkerLostError as error:
        where = chunks[error.task][0][0]
        what = f"a worker process died at this picture or shortly after it ({error.ending})"
        raise InputError(where, what, "Try again with --jobs 1.", code="worker-died") from error


def _compute_chunk(
    runtime: Runtime,
    workers: int,
    region: Region,
    limits: DecodingLimits,
    cache: ContentCache,
    chunk: Sequence[SourcePicture],
) -> list[Features]:
    session = _open_network(runtime, workers)
    rows = []
    for file, sha256 in chunk:
        pixels = decode_examined(file, sha256, limits=limits, at_least=MARGIN * SIZE)
        square = np.asarray(resize_image(Image.fromarray(pixels), SIZE, policy=Policy.WHOLE))
        outputs = session.run({session.inputs[0].name: _network_inputs(square, region)})
        oriented = np.frombuffer(outputs[session.outputs[0].name], dtype=np.float32).reshape(
            ORIENTATIONS, LENGTH
        )
        stored = np.stack([oriented[0], oriented.mean(axis=0)]).astype("<f2")
        cache.write(sha256, stored.tobytes())
        rows.append(stored.astype(np.float32))
    return rows


def _network_inputs(square: NDArray[np.uint8], region: Region) -> bytes:
    """Return the eight orientations as the network expects them: float32 from -1 to 1."""
    values = square.astype(np.float32) / 127.5 - 1
    margin = round(BORDER_SHARE * SIZE)
    inner = slice(margin, SIZE - margin)
    if region is Region.BORDER:
        values[inner, inner] = 0
    elif region is Region.CENTRE:
        centre = values[inner, inner].copy()
        values[:] = 0
        values[inner, inner] = centre
    forms = []
    for grid in (values, values[:, ::-1]):
        forms += [np.rot90(grid, turns) for turns in range(4)]
    return np.ascontiguousarray(np.stack(forms)).tobytes()


@lru_cache(maxsize=1)
def _open_network(runtime: Runtime, workers: int) -> InterpreterSession:
    """Return the network of this process, which one of several workers keeps from task to task."""
    model = MODEL_FILE.read_bytes()
    if sha256_of(model) != MODEL_SHA256:
        raise InputError(MODEL_FILE, "the file is damaged", "Install dermpack again.", code="invalid-model")
    # Each worker has an interpreter, and all of these processes share the memory.
    return InterpreterHost(runtime, children=2 * workers).load(model, where=MODEL_FILE, threads=1)
