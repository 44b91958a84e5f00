"""Define bundle.json, the record of a bundle, and the names of a model in a program."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dermpack.bundle.zip_archive import AGAIN
from dermpack.errors import InputError, TableError
from dermpack.storage.codec import check, check_sha256, decode
from dermpack.storage.files import parse_relative_path

BUNDLE_FILE, GOLDEN_FOLDER = "bundle.json", "golden"
SCHEMA = 1
WEB_ASSETS = "model"  # the folder that the page loads the model from
MAX_CHARACTERS = 64  # of a name or a version
MAX_SLUG_CHARACTERS = 40
SLUG = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")
# Letters that Unicode does not decompose into an ASCII letter and an accent.
SPELLED = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
ROOT_PACKAGE = "dermpack"
# Words that cannot name a package: keywords of Java and Kotlin, and names that the module itself uses.
RESERVED = frozenset(
    re.findall(
        "[a-z]+",
        """abstract assert boolean break byte case catch char class const continue default do double else enum
    extends false final finally float for goto if implements import instanceof int interface long native new
    null package private protected public return short static strictfp super switch synchronized this throw
    throws transient true try void volatile while var as fun in is object typealias val when
    bundle demo""",
    )
)


class BundleFormat(Enum):
    """The form of an unpacked bundle."""

    MODULE = "module"  # a Gradle library module
    ASSETS = "assets"  # the bare files
    AAR = "aar"  # an Android archive: assets and compiled classes
    WEB = "web"  # a static site that runs the model in the browser


class GoldenPlace(Enum):
    """The builds of an app that contain the golden vectors."""

    DEBUG = "debug"
    MAIN = "main"  # release builds, too
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePart:
    """One variant: the place of its model and its contract, relative to the assets."""

    name: str
    folder: str  # "" for the main variant
    model_sha256: str
    contract_sha256: str

    def __post_init__(self) -> None:
        is_name = self.name.isalnum() and self.name.isascii()
        check(self.folder in ("", self.name), "folder", self.folder, "the name of the variant or empty")
        check(is_name, "name", self.name[:80], "the name of a quantization")
        check_sha256("model_sha256", self.model_sha256)
        check_sha256("contract_sha256", self.contract_sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleNames:
    """The names of one model in a program: "Skin lesions" → skin_lesions, SkinLesionsClassifier."""

    slug: str  # the module, its folder and the folder of its assets

    def __post_init__(self) -> None:
        is_slug = SLUG.match(self.slug) is not None and self.slug not in RESERVED
        if not is_slug or len(self.slug) > MAX_SLUG_CHARACTERS:
            raise ValueError(f"slug is {self.slug[:80]!r}, not lower-case words joined by _")

    @property
    def package(self) -> str:
        return f"{ROOT_PACKAGE}.{self.slug}"

    @property
    def class_name(self) -> str:
        # An underscore between digits stays: v2_1_0 → V2_1_0 instead of V210.
        words = re.sub(r"(\d)_(?=\d)", r"\1-", self.slug).split("_")
        return "".join(word.capitalize() for word in words).replace("-", "_") + "Classifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The content of bundle.json."""

    schema: int = SCHEMA
    format: BundleFormat
    name: str
    version: str
    slug: str
    package: str  # of the Java; "" in a web bundle, as the name of the class
    class_name: str
    runtime: str  # with its version
    assets: str  # the folder of the model's files
    variants: tuple[BundlePart, ...]
    golden: str | None = None  # their folder; "" for none, and None in a bundle of dermpack 0.1

    def __post_init__(self) -> None:
        is_golden = not self.golden or parse_relative_path(self.golden) is not None
        check(is_golden, "golden", self.golden, "a relative folder")
        names = BundleNames(slug=self.slug)
        package, class_name = names.package, names.class_name
        if self.format is BundleFormat.WEB:
            package, class_name = "", ""
            check(self.assets == WEB_ASSETS, "assets", self.assets, WEB_ASSETS)
        is_relative = self.assets == "" or parse_relative_path(self.assets) is not None
        check(self.schema == SCHEMA, "schema", self.schema, str(SCHEMA))
        check(self.package == package, "package", self.package, package)
        check(self.class_name == class_name, "class_name", self.class_name, class_name)
        check(is_relative, "assets", self.assets, "a relative folder")
        check(self.runtime.count(":") == 2, "runtime", self.runtime[:80], "group:name:version")
        check(bool(self.variants), "variants", [], "a list of one or more")
        for name in ("name", "version"):
            text = getattr(self, name)
            is_valid = 0 < len(text) <= MAX_CHARACTERS and text.isprintable()
            check(is_valid, name, text[:80], f"a single line of at most {MAX_CHARACTERS} characters")

    @property
    def golden_folder(self) -> str:
        """Return the folder of the golden vectors in the bundle, or "" if it has none."""
        return self.path(GOLDEN_FOLDER) if self.golden is None else self.golden

    def path(self, name: str) -> str:
        """Return the path in the bundle of a file of the assets."""
        return f"{self.assets}/{name}" if self.assets else name


def parse_bundle_record(record: dict[str, Any], *, where: object) -> Bundle:
    """Check the content of bundle.json, and raise TableError if it is malformed."""
    try:
        return decode(Bundle, record)
    except ValueError as error:
        what = f"{BUNDLE_FILE} is malformed ({error})"
        raise TableError(where, what, AGAIN, code="invalid-bundle") from error


def derive_names(model: str) -> BundleNames:
    """Derive the names in a program from the name of a model: "Éczéma!" → eczema."""
    spelled = unicodedata.normalize("NFKD", model.casefold().translate(SPELLED))
    plain = spelled.encode("ascii", "ignore").decode()
    slug = "_".join(re.findall("[a-z0-9]+", plain))[:MAX_SLUG_CHARACTERS].rstrip("_")
    try:
        return BundleNames(slug=slug)
    except ValueError as error:
        what = "cannot be turned into a Java package name"
        hint = 'Give a --name in letters, such as "lesions".'
        raise InputError(f"name {model!r}", what, hint, code="invalid-option") from error
