"""Name the module, the package and the class after the model."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from dermpack.errors import InputError

MAX_CHARACTERS = 40
SLUG = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")
SPELLED = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
ROOT_PACKAGE = "dermpack"
# A package may not be called so: Java's words, and names that the module itself gives to something else.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleNames:
    """What one model is called: "Skin lesions" → skin_lesions, SkinLesionsClassifier."""

    slug: str  # the module, its folder and the folder of its assets

    def __post_init__(self) -> None:
        if not is_slug(self.slug):
            raise ValueError(f"slug is {self.slug[:80]!r}, not lower-case words joined by _")

    @property
    def package(self) -> str:
        return f"{ROOT_PACKAGE}.{self.slug}"

    @property
    def class_name(self) -> str:
        words = re.sub(r"(\d)_(?=\d)", r"\1-", self.slug).split("_")  # v2_1_0 → V2_1_0, and not V210
        return "".join(word.capitalize() for word in words).replace("-", "_") + "Classifier"


def names_of(model: str) -> BundleNames:
    """The names after a model's; an error where nothing of it can stand in a program."""
    spelled = unicodedata.normalize("NFKD", model.casefold().translate(SPELLED))
    plain = spelled.encode("ascii", "ignore").decode()
    slug = "_".join(re.findall("[a-z0-9]+", plain))[:MAX_CHARACTERS].rstrip("_")
    if not is_slug(slug):
        what, hint = (
            "cannot be turned into a Java package name",
            'Give a --name in letters, such as "lesions".',
        )
        raise InputError(f"name {model!r}", what, hint, code="invalid-option")
    return BundleNames(slug=slug)


def is_slug(text: str) -> bool:
    return SLUG.match(text) is not None and len(text) <= MAX_CHARACTERS and text not in RESERVED
