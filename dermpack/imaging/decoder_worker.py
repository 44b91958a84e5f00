"""The child process that decodes pictures: what a hostile file breaks or fills is this process alone.

After its imports it sends an empty frame. A request is one frame of JSON, which names files, followed by the
bytes of each picture that is not a file. The answer for each picture is two frames: an error, as JSON or
empty, and the pixels of the prepared square. A request without a size asks for the picture files without
their metadata instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermpack.errors import PictureError
from dermpack.imaging import containers, decoding  # now, while the parent still looks for pictures
from dermpack.imaging.preprocessing import Policy, prepare_image
from dermpack.imaging.rejection import DecodingLimits, Reason
from dermpack.processes.limits import allow_cpu_seconds

if TYPE_CHECKING:
    from dermpack.processes.child_process import Channel

FIRST_FORMAT = containers.JPEG
OUT_OF_MEMORY = (Reason.TOO_COSTLY.value, "more memory is needed to prepare it than is allowed", "")


def main(channel: Channel, picture_seconds: str) -> None:
    """Answer requests until the parent closes the channel."""
    assert decoding.PILLOW_ERRORS and FIRST_FORMAT.image_file  # the most frequent format is imported too
    channel.send(b"")
    while frame := channel.receive():
        request = json.loads(frame)
        for path in request["files"]:
            source = Path(path) if path is not None else channel.receive() or b""
            allow_cpu_seconds(float(picture_seconds))
            problem: tuple[str, str, str] | None = None
            try:
                channel.send(b"", _prepare(source, request) if "size" in request else _strip(source))
            except MemoryError:
                problem = OUT_OF_MEMORY  # sent below: until then, the traceback keeps what filled the memory
            except PictureError as error:
                problem = error.reason, error.what, error.hint
            if problem:
                channel.send(json.dumps(problem).encode(), b"")


def _prepare(source: Path | bytes, request: Mapping[str, Any]) -> bytes:
    policy, limits = Policy(request["policy"]), DecodingLimits(**request["limits"])
    return prepare_image(source, request["size"], policy=policy, limits=limits).tobytes()


def _strip(source: Path | bytes) -> bytes:
    from dermpack.imaging.metadata_removal import strip_metadata  # no command but a server asks for it

    assert isinstance(source, bytes)
    return strip_metadata(source).data
