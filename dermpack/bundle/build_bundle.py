"""Make a bundle of one or several exports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dermpack.bundle.bundle_record import (
    BUNDLE_FILE,
    MAX_CHARACTERS,
    Bundle,
    BundleFormat,
    BundlePart,
    bundle_text,
)
from dermpack.bundle.checksums import SUMS_FILE, sums_text
from dermpack.bundle.golden_pictures import generated, given
from dermpack.bundle.golden_vectors import GOLDEN_FILE, golden_files, golden_from
from dermpack.bundle.java_compiler import classes_jar
from dermpack.bundle.java_sources import java_sources
from dermpack.bundle.label_meanings import Meanings
from dermpack.bundle.module_layout import RUNTIME, aar_files, assets_folder, module_files, part
from dermpack.bundle.names import BundleNames, names_of
from dermpack.bundle.texts.benchmark_times import VariantTimes
from dermpack.bundle.texts.evaluation_scores import VariantScores
from dermpack.bundle.texts.model_card import card_text
from dermpack.bundle.texts.notices import materials_text, notice_text
from dermpack.bundle.texts.readme import guide_text
from dermpack.bundle.variants import Variant
from dermpack.bundle.zip_archive import zipped
from dermpack.errors import InputError
from dermpack.storage.files import sha256_of

GOLDEN_FOLDER, CARD_FILE = "golden", "MODEL_CARD.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRequest:
    """What the user asks for beyond the exports; "" takes the main model's own."""

    format: BundleFormat = BundleFormat.MODULE
    name: str = ""
    version: str = ""
    golden: tuple[Path, ...] = ()  # pictures of the user's own, instead of generated ones
    scores: tuple[VariantScores, ...] = ()
    times: tuple[VariantTimes, ...] = ()
    meanings: Meanings = field(default_factory=dict)  # label → words


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltBundle:
    """A bundle and its one file; `close` are the golden pictures whose second label is near the first."""

    bundle: Bundle
    data: bytes
    card: bytes  # the model card that stands in it, for those who lay it beside an export
    close: tuple[str, ...]


def make_bundle(variants: Sequence[Variant], request: BundleRequest) -> BuiltBundle:
    """The bundle of these variants, which are run for the golden vectors."""
    names = names_of(request.name or _plain_name(variants[0]))
    bundle = _bundle(variants, request, names)
    pictures = given(request.golden) if request.golden else generated(variants[0].contract.input.width)
    golden = golden_files(pictures, variants)
    index = golden_from(json.loads(golden[GOLDEN_FILE]), where=GOLDEN_FILE)
    assets = {**_assets(variants), **{f"{GOLDEN_FOLDER}/{name}": data for name, data in golden.items()}}
    files = {
        **{bundle.path(name): data for name, data in assets.items()},
        **_frame(request.format, names, [of.name for of in variants]),
        "README.md": guide_text(bundle, variants, golden, request.meanings),
        CARD_FILE: card_text(bundle, variants, request.scores, request.times, request.meanings),
        "LICENSE": part("LICENSE"),
        "NOTICE": notice_text(bundle, variants),
        "bom.cdx.json": materials_text(bundle, variants),
        BUNDLE_FILE: bundle_text(bundle).encode(),
    }
    close = (of.picture for of in index.vectors if any(each.is_close for each in of.expected.values()))
    data = _one_file({**files, SUMS_FILE: sums_text(files).encode()}, request.format, names)
    return BuiltBundle(bundle=bundle, data=data, card=files[CARD_FILE], close=tuple(close))


def _one_file(files: Mapping[str, bytes], form: BundleFormat, names: BundleNames) -> bytes:
    """An Android archive has its files at the top, the others in a folder of their own."""
    root = "" if form is BundleFormat.AAR else f"{names.slug}/"
    return zipped({f"{root}{name}": data for name, data in files.items()})


def _plain_name(main: Variant) -> str:
    """mobilenet_v2-1.0-160-int8 → mobilenet_v2-1.0-160: the recipe is the variant's."""
    return main.contract.name.removesuffix(f"-{main.name}")


def _check_text(what: str, text: str) -> None:
    if not 0 < len(text) <= MAX_CHARACTERS or not text.isprintable():
        wrong = f"must be a single line of at most {MAX_CHARACTERS} characters"
        raise InputError(f"{what} {text[:80]!r}", wrong, f"Give a short --{what}.", code="invalid-option")


def _bundle(variants: Sequence[Variant], request: BundleRequest, names: BundleNames) -> Bundle:
    name = request.name or _plain_name(variants[0])
    version = request.version or variants[0].contract.version
    _check_text("name", name)
    _check_text("version", version)
    parts = tuple(
        BundlePart(
            name=of.name,
            folder=of.name if at else "",
            model_sha256=of.contract.sha256,
            contract_sha256=sha256_of(of.contract_bytes),
        )
        for at, of in enumerate(variants)
    )
    return Bundle(
        format=request.format,
        name=name,
        version=version,
        slug=names.slug,
        package=names.package,
        class_name=names.class_name,
        runtime=RUNTIME,
        assets=assets_folder(request.format, names),
        variants=parts,
    )


def _assets(variants: Sequence[Variant]) -> dict[str, bytes]:
    """The main variant beside the labels, the others in folders by their names."""
    labels = "".join(f"{label}\n" for label in variants[0].contract.labels).encode()
    files = {"labels.txt": labels}
    for at, of in enumerate(variants):
        folder = f"{of.name}/" if at else ""
        files |= {f"{folder}model.tflite": of.model, f"{folder}model.json": of.contract_bytes}
    return files


def _frame(form: BundleFormat, names: BundleNames, variants: Sequence[str]) -> dict[str, bytes]:
    """What stands around the assets."""
    if form is BundleFormat.ASSETS:
        return {}
    sources = java_sources(names, variants)
    return (
        module_files(names, sources)
        if form is BundleFormat.MODULE
        else aar_files(names, classes_jar(sources))
    )
