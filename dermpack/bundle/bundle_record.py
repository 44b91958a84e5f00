"""What a bundle says of itself: bundle.json."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from dermpack.bundle.names import BundleNames
from dermpack.bundle.zip_archive import AGAIN
from dermpack.contract.value_checks import check, check_sha256
from dermpack.errors import TableError
from dermpack.storage.codec import decode, encode
from dermpack.storage.files import json_text, safe_relative

BUNDLE_FILE = "bundle.json"
SCHEMA = 1
MAX_CHARACTERS = 64  # of a name or a version


class BundleFormat(Enum):
    """What a bundle is unpacked into."""

    MODULE = "module"  # a Gradle library module
    ASSETS = "assets"  # the bare files
    AAR = "aar"  # an Android archive: assets and compiled classes


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePart:
    """One variant: where its model and its contract are, relative to the assets."""

    name: str
    folder: str  # "" for the main one
    model_sha256: str
    contract_sha256: str

    def __post_init__(self) -> None:
        check(self.folder in ("", self.name), "folder", self.folder, "the name of the variant or empty")
        check(
            self.name.isalnum() and self.name.isascii(), "name", self.name[:80], "the name of a quantization"
        )
        check_sha256("model_sha256", self.model_sha256)
        check_sha256("contract_sha256", self.contract_sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The record; every other file follows from it."""

    schema: int = SCHEMA
    format: BundleFormat
    name: str
    version: str
    slug: str
    package: str
    class_name: str
    runtime: str  # the pinned one
    assets: str  # the folder of the model's files
    variants: tuple[BundlePart, ...]

    def __post_init__(self) -> None:
        names = BundleNames(slug=self.slug)
        check(self.schema == SCHEMA, "schema", self.schema, str(SCHEMA))
        check(self.package == names.package, "package", self.package, names.package)
        check(self.class_name == names.class_name, "class_name", self.class_name, names.class_name)
        check(
            self.assets == "" or safe_relative(self.assets) is not None,
            "assets",
            self.assets,
            "a relative folder",
        )
        check(bool(self.variants), "variants", [], "a list of one or more")
        for name in ("name", "version"):
            text = getattr(self, name)
            well = 0 < len(text) <= MAX_CHARACTERS and text.isprintable()
            check(well, name, text[:80], f"a single line of at most {MAX_CHARACTERS} characters")

    def path(self, name: str) -> str:
        """Where a file of the assets is in the bundle."""
        return f"{self.assets}/{name}" if self.assets else name


def bundle_text(bundle: Bundle) -> str:
    return json_text(encode(bundle))


def bundle_from(record: dict[str, Any], *, where: object) -> Bundle:
    """What bundle.json holds, hostile until checked."""
    try:
        return decode(Bundle, record)
    except ValueError as error:
        raise TableError(
            where, f"{BUNDLE_FILE} is malformed ({error})", AGAIN, code="invalid-bundle"
        ) from error
