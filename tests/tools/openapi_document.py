"""Write docs/openapi.json: every route of a server with a collection."""

from __future__ import annotations

from pathlib import Path

from dermpack.serving.app import describe_api, make_api
from dermpack.serving.settings import CollectionSettings, ServerSettings
from dermpack.storage.files import format_json, write_text
from tests.support.paths import REPOSITORY

DOCUMENT = REPOSITORY / "docs/openapi.json"


def main() -> None:
    """Write the document."""
    api = make_api(ServerSettings(collection=CollectionSettings(data=Path("data"))))
    write_text(DOCUMENT, format_json(describe_api(api)))


if __name__ == "__main__":
    main()
