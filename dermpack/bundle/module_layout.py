"""Lay files out as a Gradle library module, as bare assets, or as an Android archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template

from dermpack.bundle.bundle_record import BundleFormat
from dermpack.bundle.names import BundleNames

PARTS = Path(__file__).with_name("parts")
RUNTIME = "com.google.ai.edge.litert:litert:1.4.2"  # its native libraries are aligned for 16 KB pages
MIN_SDK, COMPILE_SDK = 24, 36
MIN_AGP = "8.9.1"  # for API 36: https://developer.android.com/build/releases/about-agp
ASSETS = {BundleFormat.MODULE: "src/main/assets/{}", BundleFormat.ASSETS: "", BundleFormat.AAR: "assets/{}"}
AAR_METADATA = "META-INF/com/android/build/gradle/aar-metadata.properties"


def assets_folder(form: BundleFormat, names: BundleNames) -> str:
    """Where the model's files lie; below a folder of their own, so that two modules never collide."""
    return ASSETS[form].format(names.slug)


def module_files(names: BundleNames, sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """All that Gradle wants, and the Java."""
    return {
        "build.gradle.kts": part("build.gradle.kts", **_facts(names)),
        "consumer-rules.pro": part("consumer-rules.pro"),
        "src/main/AndroidManifest.xml": part("AndroidManifest.module.xml"),
        **{f"src/main/java/{name}": source for name, source in sources.items()},
    }


def aar_files(names: BundleNames, classes: bytes) -> dict[str, bytes]:
    """All that an archive has beside its assets."""
    return {
        "AndroidManifest.xml": part("AndroidManifest.aar.xml", **_facts(names)),
        "classes.jar": classes,
        "proguard.txt": part("consumer-rules.pro"),
        "R.txt": b"",
        AAR_METADATA: b"aarFormatVersion=1.0\naarMetadataVersion=1.0\nminCompileSdk=1\n",
    }


def part(file: str, /, **facts: str) -> bytes:
    """A file of parts/ with $facts put in; one that is missing is a bug."""
    text = (PARTS / file).read_text(encoding="utf-8")
    return (Template(text).substitute(facts) if facts else text).encode()


def _facts(names: BundleNames) -> dict[str, str]:
    return {
        "package": names.package,
        "runtime": RUNTIME,
        "min_sdk": str(MIN_SDK),
        "compile_sdk": str(COMPILE_SDK),
    }
