"""Build a bundle from one or more exports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dermpack.bundle import documents, golden_vectors
from dermpack.bundle.android_module import RUNTIME, assets_folder, compile_classes
from dermpack.bundle.bundle_record import (
    BUNDLE_FILE,
    MAX_CHARACTERS,
    Bundle,
    BundleFormat,
    BundleNames,
    BundlePart,
    derive_names,
)
from dermpack.bundle.release_comparison import write_release_files
from dermpack.bundle.reports import VariantScores, VariantTimes
from dermpack.bundle.variants import MODEL_FILE, Variant
from dermpack.bundle.zip_archive import SUMS_FILE, format_checksums, pack_files
from dermpack.contract import CONTRACT_FILE
from dermpack.errors import InputError
from dermpack.imaging.metadata_removal import MetadataPolicy
from dermpack.storage.codec import encode
from dermpack.storage.files import format_json, sha256_of

CARD_FILE = "MODEL_CARD.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRequest:
    """The user's options of a bundle; an empty name or version means that of the main model."""

    format: BundleFormat = BundleFormat.MODULE
    name: str = ""
    version: str = ""
    golden: tuple[Path, ...] = ()  # the user's own pictures, instead of generated ones
    metadata: MetadataPolicy = MetadataPolicy.REMOVE  # of the user's own pictures
    scores: tuple[VariantScores, ...] = ()
    times: tuple[VariantTimes, ...] = ()
    meanings: documents.Meanings = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltBundle:
    """A bundle and the bytes of its file."""

    bundle: Bundle
    data: bytes
    card: bytes  # the model card that the bundle contains
    near_ties: tuple[str, ...]  # golden pictures whose two best labels are nearly as probable as each other
    metadata_removed: int  # the number of golden pictures that had metadata


def build_bundle(variants: Sequence[Variant], request: BundleRequest) -> BuiltBundle:
    """Build the bundle of these variants; they are run to make the golden vectors."""
    main = variants[0]
    # The name of an export ends with its quantization, which is the variant's name in a bundle:
    # mobilenet_v2-1.0-160-int8 → mobilenet_v2-1.0-160.
    name = request.name or main.contract.name.removesuffix(f"-{main.name}")
    names = derive_names(name)
    bundle = _record(variants, request, name, names)

    if request.golden:
        pictures = golden_vectors.read_golden_pictures(request.golden, metadata=request.metadata)
    else:
        pictures = golden_vectors.generate_golden_pictures(main.contract.picture.width)
    golden = golden_vectors.build_golden_files(pictures, variants)

    labels = "".join(f"{label}\n" for label in main.contract.labels)
    assets = {"labels.txt": labels.encode()}
    for variant, part in zip(variants, bundle.variants, strict=True):
        folder = f"{part.folder}/" if part.folder else ""
        assets[f"{folder}{MODEL_FILE}"] = variant.model
        assets[f"{folder}{CONTRACT_FILE}"] = variant.contract_bytes
    assets |= {f"{golden_vectors.GOLDEN_FOLDER}/{path}": data for path, data in golden.items()}

    card = documents.render_model_card(bundle, variants, request.scores, request.times, request.meanings)
    files = {
        **{bundle.path(path): data for path, data in assets.items()},
        **write_release_files(bundle, variants),
        **compile_classes(request.format, names, [variant.name for variant in variants]),
        "README.md": documents.render_readme(bundle, variants, golden, request.meanings),
        CARD_FILE: card,
        BUNDLE_FILE: format_json(encode(bundle)).encode(),
    }
    files[SUMS_FILE] = format_checksums(files).encode()
    # An Android archive has its files at the top; the other formats have one folder.
    root = "" if request.format is BundleFormat.AAR else f"{names.slug}/"
    vectors = golden_vectors.parse_golden_vectors(
        json.loads(golden[golden_vectors.GOLDEN_FILE]), where=golden_vectors.GOLDEN_FILE
    ).vectors
    near_ties = [
        vector.picture
        for vector in vectors
        if any(expected.is_close for expected in vector.expected.values())
    ]
    return BuiltBundle(
        bundle=bundle,
        data=pack_files({f"{root}{path}": data for path, data in files.items()}),
        card=card,
        near_ties=tuple(near_ties),
        metadata_removed=sum(picture.had_metadata for picture in pictures),
    )


def _record(variants: Sequence[Variant], request: BundleRequest, name: str, names: BundleNames) -> Bundle:
    version = request.version or variants[0].contract.version
    for option, text in (("name", name), ("version", version)):
        if not 0 < len(text) <= MAX_CHARACTERS or not text.isprintable():
            wrong = f"must be a single line of at most {MAX_CHARACTERS} characters"
            hint = f"Give a short --{option}."
            raise InputError(f"{option} {text[:80]!r}", wrong, hint, code="invalid-option")
    parts = tuple(
        BundlePart(
            name=variant.name,
            folder=variant.name if index else "",
            model_sha256=variant.contract.sha256,
            contract_sha256=sha256_of(variant.contract_bytes),
        )
        for index, variant in enumerate(variants)
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
