"""Build a bundle from one or more exports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dermpack.bundle import documents, golden_vectors
from dermpack.bundle.android_module import RUNTIME, assets_folder, compile_classes, golden_folder
from dermpack.bundle.bundle_record import (
    BUNDLE_FILE,
    MAX_CHARACTERS,
    Bundle,
    BundleFormat,
    BundleNames,
    BundlePart,
    GoldenPlace,
    derive_names,
)
from dermpack.bundle.release_comparison import write_release_files
from dermpack.bundle.reports import VariantScores, VariantTimes
from dermpack.bundle.variants import MODEL_FILE, Variant, describe_labels
from dermpack.bundle.web.layout import check_types, lay_out_runtime, seal_site
from dermpack.bundle.web.runtime import read_lock, read_runtime
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
    golden_in: GoldenPlace = GoldenPlace.DEBUG
    runtime: Mapping[str, bytes] | None = None  # of a web bundle; None: that in the cache; {}: none


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltBundle:
    """A bundle and the bytes of its file."""

    bundle: Bundle
    data: bytes
    files: Mapping[str, bytes]  # by their paths below the folder of the bundle
    card: bytes  # the model card that the bundle contains
    near_ties: tuple[str, ...]  # golden pictures for which other kernels may prefer another label
    metadata_removed: int  # the number of golden pictures that had metadata


def build_bundle(variants: Sequence[Variant], request: BundleRequest) -> BuiltBundle:
    """Build the bundle of these variants; they are run to make the golden vectors."""
    variants = [describe_labels(variant, request.meanings) for variant in variants]
    main = variants[0]
    site: dict[str, bytes] = {}
    if request.format is BundleFormat.WEB:
        if len(variants) > 1:
            what, hint = "a web bundle contains one variant", "Name one with --variant."
            raise InputError(f"{len(variants)} variants", what, hint, code="invalid-option")
        runtime = read_runtime() if request.runtime is None else request.runtime
        if runtime:
            check_types(main)
        site = lay_out_runtime(read_lock(), runtime)
    # The name of an export ends with its quantization, which is the variant's name in a bundle:
    # mobilenet_v2-1.0-160-int8 → mobilenet_v2-1.0-160.
    name = request.name or main.contract.name.removesuffix(f"-{main.name}")
    names = derive_names(name)
    bundle = _record(variants, request, name, names)

    golden: dict[str, bytes] = {}
    pictures: tuple[golden_vectors.GoldenPicture, ...] = ()
    if request.golden_in is GoldenPlace.NONE:
        pass
    elif request.golden:
        pictures = golden_vectors.read_golden_pictures(request.golden, metadata=request.metadata)
    else:
        pictures = golden_vectors.generate_golden_pictures(main.contract.picture.width)
    if pictures:
        golden = golden_vectors.build_golden_files(pictures, variants)

    labels = "".join(f"{label}\n" for label in main.contract.labels)
    assets = {"labels.txt": labels.encode()}
    for variant, part in zip(variants, bundle.variants, strict=True):
        folder = f"{part.folder}/" if part.folder else ""
        assets[f"{folder}{MODEL_FILE}"] = variant.model
        assets[f"{folder}{CONTRACT_FILE}"] = variant.contract_bytes

    card = documents.render_model_card(bundle, variants, request.scores, request.times)
    files = {
        **{bundle.path(path): data for path, data in assets.items()},
        **{f"{bundle.golden_folder}/{path}": data for path, data in golden.items()},
        **write_release_files(bundle, variants),
        **compile_classes(request.format, names, [variant.name for variant in variants], main.columns),
        "README.md": documents.render_readme(bundle, variants, golden, request.scores),
        CARD_FILE: card,
        BUNDLE_FILE: format_json(encode(bundle)).encode(),
        **site,
    }
    if site:
        files = seal_site(files)
    files[SUMS_FILE] = format_checksums(files).encode()
    # An Android archive has its files at the top; the other formats have one folder.
    root = "" if request.format is BundleFormat.AAR else f"{names.slug}/"
    return BuiltBundle(
        bundle=bundle,
        data=pack_files({f"{root}{path}": data for path, data in files.items()}),
        files=files,
        card=card,
        near_ties=_near_ties(golden),
        metadata_removed=sum(picture.had_metadata for picture in pictures),
    )


def _near_ties(golden: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the golden pictures for which another machine may answer another label."""
    if not golden:
        return ()
    record = json.loads(golden[golden_vectors.GOLDEN_FILE])
    vectors = golden_vectors.parse_golden_vectors(record, where=golden_vectors.GOLDEN_FILE).vectors
    return tuple(
        vector.picture
        for vector in vectors
        if any(expected.is_close for expected in vector.expected.values())
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
    is_web = request.format is BundleFormat.WEB
    return Bundle(
        format=request.format,
        name=name,
        version=version,
        slug=names.slug,
        package="" if is_web else names.package,
        class_name="" if is_web else names.class_name,
        runtime=read_lock().coordinates if is_web else RUNTIME,
        assets=assets_folder(request.format, names),
        golden=golden_folder(request.format, names, request.golden_in),
        variants=parts,
    )
