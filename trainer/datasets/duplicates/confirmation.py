"""Confirm proposed pairs in worker processes: local features are extracted once and cached by content."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import cv2
import numpy as np
import PIL
from threadpoolctl import threadpool_limits

from dermpack.errors import InputError
from dermpack.imaging.picture_decoder import PICTURE_SECONDS, decoding_memory
from dermpack.imaging.rejection import DecodingLimits
from dermpack.processes.limits import allow_cpu_seconds
from dermpack.processes.process_pool import WorkerLostError, map_in_processes
from dermpack.progress import Track
from dermpack.storage.content_cache import ContentCache, open_content_cache
from trainer.datasets.duplicates.geometry import (
    DESCRIPTOR,
    HEADER,
    SIDE,
    VERSION,
    LocalFeatures,
    Match,
    extract_local_features,
    match_pictures,
)
from trainer.datasets.picture_features import MIN_FOR_PROCESSES, SourcePicture, decode_examined

CACHE_NAME = "local-features"
CHUNK_PICTURES = 32  # extracted by a worker in a second
CHUNK_PAIRS = 400  # matched by a worker in a second
KEPT = 512  # pictures whose local features a worker keeps in memory: 60 MB

Task = TypeVar("Task")
Result = TypeVar("Result")
PairTask = tuple[int, int, SourcePicture, SourcePicture]  # the indices of the pictures first


def confirm_pairs(
    pictures: Sequence[SourcePicture],
    pairs: Sequence[tuple[int, int]],
    *,
    limits: DecodingLimits,
    jobs: int,
    track: Track,
) -> list[tuple[int, int, Match]]:
    """Return the pairs that show the same thing, with the evidence, in the order of `pairs`."""
    version = f"{VERSION} OpenCV {cv2.__version__} Pillow {PIL.__version__}"
    with open_content_cache(CACHE_NAME, version=version) as cache:
        contents = {pictures[index][1]: pictures[index] for pair in pairs for index in pair}
        missing = [picture for sha256, picture in sorted(contents.items()) if not cache.has(sha256)]
        if len(pictures) < MIN_FOR_PROCESSES:
            # One worker extracts them while it compares: a second one takes longer to start.
            jobs, missing = 1, []
        chunks = _split(missing, CHUNK_PICTURES)
        memory = decoding_memory(limits)
        extract = partial(_extract_chunk, limits, cache)
        extracted = (each for names in _map(extract, chunks, memory, jobs) for each in names)
        for _ in track(extracted, total=len(missing), what="local features") if missing else ():
            pass
        tasks = [(a, b, pictures[a], pictures[b]) for a, b in pairs]
        matched = _map(partial(_match_chunk, limits, cache), _split(tasks, CHUNK_PAIRS), memory, jobs)
        each_pair = (pair for results in matched for pair in results)
        found = [
            (first, second, match)
            for first, second, match in (track(each_pair, total=len(tasks), what="confirm") if tasks else ())
            if match is not None
        ]
    return sorted(found, key=lambda pair: pair[:2])


def _split(items: Sequence[Task], size: int) -> list[Sequence[Task]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _map(
    work: Callable[[Task], Result], tasks: Sequence[Task], memory_bytes: int, jobs: int
) -> Iterator[Result]:
    try:
        for _, result in map_in_processes(work, tasks, jobs=jobs, most_memory_bytes=memory_bytes):
            yield result
    except WorkerLostError as error:
        what = f"a worker process ended ({error.ending}) while it compared pictures"
        hint = "Lower --jobs, or add --duplicates fast."
        raise InputError("duplicates", what, hint, code="worker-died") from error


def _extract_chunk(limits: DecodingLimits, cache: ContentCache, chunk: Sequence[SourcePicture]) -> list[str]:
    for picture in chunk:
        _extract(picture, limits, cache)
    return [sha256 for _, sha256 in chunk]


def _extract(picture: SourcePicture, limits: DecodingLimits, cache: ContentCache) -> bytes:
    file, sha256 = picture
    data = pack(extract_local_features(decode_examined(file, sha256, limits=limits, at_least=SIDE)))
    cache.write(sha256, data)
    return data


def _match_chunk(
    limits: DecodingLimits, cache: ContentCache, chunk: Sequence[PairTask]
) -> list[tuple[int, int, Match | None]]:
    # Neighbouring pairs share their first picture, and often the second.
    kept: OrderedDict[str, LocalFeatures] = OrderedDict()

    def load(picture: SourcePicture) -> LocalFeatures:
        _, sha256 = picture
        if sha256 not in kept:
            # A cached file can be damaged.
            kept[sha256] = unpack(cache.read(sha256) or _extract(picture, limits, cache))
            if len(kept) > KEPT:
                kept.popitem(last=False)
        return kept[sha256]

    results: list[tuple[int, int, Match | None]] = []
    with threadpool_limits(1):  # of BLAS: the work is spread over processes
        for first, second, one, other in chunk:
            allow_cpu_seconds(PICTURE_SECONDS)
            results.append((first, second, match_pictures(load(one), load(other))))
    return results


def pack(features: LocalFeatures) -> bytes:
    """Return the bytes of local features for the cache."""
    head = HEADER.pack(*features.size, *features.grey.shape, len(features.points), features.scale)
    arrays = (features.points.astype("<f4"), features.descriptors, features.grey)
    return head + b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def unpack(data: bytes) -> LocalFeatures:
    """Return the local features in the bytes of `pack`."""
    height, width, grey_height, grey_width, count, scale = HEADER.unpack_from(data)
    arrays = []
    start = HEADER.size
    for shape, dtype in (
        ((count, 2), "<f4"),
        ((count, DESCRIPTOR), "u1"),
        ((grey_height, grey_width), "u1"),
    ):
        array = np.frombuffer(data, dtype, count=math.prod(shape), offset=start).reshape(shape)
        arrays.append(array)
        start += array.nbytes
    points, descriptors, grey = arrays
    return LocalFeatures(scale=scale, points=points, descriptors=descriptors, grey=grey, size=(height, width))
