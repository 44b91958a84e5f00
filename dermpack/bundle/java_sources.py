"""Name the shipped Java after the model; its one home is java/ beside this file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dermpack.bundle.names import BundleNames

HOME = Path(__file__).with_name("java")
HOME_PACKAGE, HOME_CLASS = "dermpack.bundle", "BundleClassifier"
HOME_ASSETS = 'ASSETS = "bundle";'
HOME_VARIANTS = '        INT8(""); // the variants that the bundle holds\n'
FOLDERS = ("pure", "android")


def java_sources(names: BundleNames, variants: Sequence[str]) -> dict[str, bytes]:
    """Path below src/main/java → source; the first variant lies beside the others' folders."""
    package = names.package.replace(".", "/")
    sources = {}
    for folder in FOLDERS:
        for file in _java_files(folder):
            name = file.name.replace(HOME_CLASS, names.class_name)
            sources[f"{package}/{name}"] = _named(file.read_text(encoding="utf-8"), names, variants).encode()
    return sources


def home_sources(folder: str) -> dict[str, bytes]:
    """The files of one folder of java/ as they are."""
    return {file.name: file.read_bytes() for file in _java_files(folder)}


def _java_files(folder: str) -> Iterator[Path]:
    yield from sorted((HOME / folder).glob("*.java"))


def _named(source: str, names: BundleNames, variants: Sequence[str]) -> str:
    constants = ",\n".join(
        f'        {name.upper()}("{"" if at == 0 else f"{name}/"}")' for at, name in enumerate(variants)
    )
    return (
        source.replace(HOME_VARIANTS, f"{constants};\n")
        .replace(HOME_ASSETS, f'ASSETS = "{names.slug}";')
        .replace(HOME_CLASS, names.class_name)
        .replace(HOME_PACKAGE, names.package)
    )
