"""Lay out a bundle for Android: a Gradle library module, bare assets, or an Android archive (AAR).

The Java sources in java/ are named after the model and, for an archive, compiled.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from dermpack.bundle.bundle_record import GOLDEN_FOLDER, WEB_ASSETS, BundleFormat, BundleNames, GoldenPlace
from dermpack.bundle.metadata_constants import format_metadata_fields
from dermpack.bundle.zip_archive import pack_files
from dermpack.contract import MetadataColumn
from dermpack.errors import InputError
from dermpack.processes.limits import ending_with_parent
from dermpack.reporting.page import render_template

TEMPLATES = Path(__file__).with_name("templates")
JAVA_FOLDER = Path(__file__).with_name("java")
RUNTIME = "com.google.ai.edge.litert:litert:1.4.2"  # its native libraries are aligned for 16 KB pages
MIN_SDK, COMPILE_SDK = 24, 36
MIN_AGP = "8.9.1"  # for API 36: https://developer.android.com/build/releases/about-agp
AAR_METADATA = "META-INF/com/android/build/gradle/aar-metadata.properties"
ASSETS = {
    BundleFormat.MODULE: "src/main/assets/{}",
    BundleFormat.ASSETS: "",
    BundleFormat.AAR: "assets/{}",
    BundleFormat.WEB: WEB_ASSETS,
}
# The names in java/ that are replaced by those of the model.
JAVA_PACKAGE, JAVA_CLASS = "dermpack.bundle", "BundleClassifier"
JAVA_ASSETS = 'ASSETS = "bundle";'
JAVA_VARIANTS = '        INT8(""); // the variants in the bundle\n'
COMPILED_CLASSES = "classes.jar"
SHIPPED_FOLDERS = ("pure", "android")
STAND_INS_FOLDER = "standin"  # signatures of Android's classes, for a compiler without Android
JAVAC_LIMIT_SECONDS = 120
JDK_HINT = "Install a JDK (javac), or use --format module."


def assets_folder(form: BundleFormat, names: BundleNames) -> str:
    """Return the folder of the model's files; each model has its own, so that two modules never collide."""
    return ASSETS[form].format(names.slug)


def golden_folder(form: BundleFormat, names: BundleNames, place: GoldenPlace) -> str:
    """Return the folder of the golden vectors in the bundle, or "" for none.

    Gradle adds src/debug to debug builds alone. Apps do not contain the files next to the assets of an
    archive, but `dermpack verify` finds them there. A web bundle has no debug build: its page needs them.
    """
    if place is GoldenPlace.NONE:
        return ""
    folder = assets_folder(form, names)
    if place is GoldenPlace.DEBUG and form is not BundleFormat.WEB:
        folder = {BundleFormat.MODULE: f"src/debug/assets/{names.slug}", BundleFormat.AAR: ""}.get(
            form, "debug"
        )
    return f"{folder}/{GOLDEN_FOLDER}" if folder else GOLDEN_FOLDER


def lay_out_files(
    form: BundleFormat,
    names: BundleNames,
    variants: Sequence[str],
    columns: Sequence[MetadataColumn] = (),
    *,
    has_golden: bool,
) -> dict[str, bytes]:
    """Return the files around the assets, without compiled classes: the build files and the Java."""
    if form in (BundleFormat.ASSETS, BundleFormat.WEB):
        return {}
    rules = (TEMPLATES / "consumer-rules.pro").read_bytes()
    if form is BundleFormat.AAR:
        return {
            "AndroidManifest.xml": _render("AndroidManifest.aar.xml.j2", names),
            "proguard.txt": rules,
            "R.txt": b"",
            AAR_METADATA: b"aarFormatVersion=1.0\naarMetadataVersion=1.0\nminCompileSdk=1\n",
        }
    folder = names.package.replace(".", "/")
    device_test = {
        f"src/androidTest/java/{folder}/{names.class_name}SelfCheckTest.java": _render(
            "SelfCheckTest.java.j2", names
        )
    }
    sources = name_java_sources(names, variants, columns)
    return {
        **(device_test if has_golden else {}),
        "build.gradle.kts": _render("build.gradle.kts.j2", names, has_golden=has_golden),
        "consumer-rules.pro": rules,
        "src/main/AndroidManifest.xml": (TEMPLATES / "AndroidManifest.module.xml").read_bytes(),
        **{f"src/main/java/{name}": source for name, source in sources.items()},
    }


def compile_classes(
    form: BundleFormat, names: BundleNames, variants: Sequence[str], columns: Sequence[MetadataColumn] = ()
) -> dict[str, bytes]:
    """Return the compiled classes of an archive, or {} for other formats; raise InputError without a JDK."""
    if form is not BundleFormat.AAR:
        return {}
    return {COMPILED_CLASSES: _compile_classes_jar(name_java_sources(names, variants, columns))}


def name_java_sources(
    names: BundleNames, variants: Sequence[str], columns: Sequence[MetadataColumn] = ()
) -> dict[str, bytes]:
    """Return the Java with the names of the model, by paths below src/main/java.

    The first variant is the main one, and has no folder of its own. `columns` are those of the patient
    metadata.
    """
    replacements = {
        JAVA_VARIANTS: format_java_constants(variants),
        JAVA_ASSETS: f'ASSETS = "{names.slug}";',
        JAVA_CLASS: names.class_name,
        JAVA_PACKAGE: names.package,
    }
    sources = format_metadata_fields(columns)
    for folder in SHIPPED_FOLDERS:
        sources |= read_java_sources(folder)
    named = {}
    for name, source in sources.items():
        text = source.decode("utf-8")
        for old, new in replacements.items():
            text = text.replace(old, new)
        path = f"{names.package.replace('.', '/')}/{name.replace(JAVA_CLASS, names.class_name)}"
        named[path] = text.encode()
    return named


def format_java_constants(variants: Sequence[str]) -> str:
    """Return the constants of an enum: one for each variant, with its folder."""
    constants = ",\n".join(
        f'        {name.upper()}("{f"{name}/" if index else ""}")' for index, name in enumerate(variants)
    )
    return f"{constants};\n"


def read_java_sources(folder: str) -> dict[str, bytes]:
    """Return the files of one folder of java/, unchanged."""
    return {file.name: file.read_bytes() for file in sorted((JAVA_FOLDER / folder).glob("*.java"))}


def _render(template: str, names: BundleNames, *, has_golden: bool = False) -> bytes:
    module, _, version = RUNTIME.rpartition(":")
    values = {
        "package": names.package,
        "class_name": names.class_name,
        "slug": names.slug,
        "runtime_module": module,
        "runtime_version": version,
        "min_sdk": MIN_SDK,
        "compile_sdk": COMPILE_SDK,
        "has_golden": has_golden,
    }
    return render_template(TEMPLATES / template, values, escape=str).encode()


def _compile_classes_jar(sources: Mapping[str, bytes]) -> bytes:
    """Compile Java 8 classes; the same compiler gives the same bytes."""
    javac = shutil.which("javac")
    if javac is None:
        raise InputError("javac", "not found on the PATH", JDK_HINT, code="missing-tool")
    with TemporaryDirectory(prefix="dermpack-javac-") as temporary:
        work = Path(temporary)
        for name, source in sources.items():
            path = work / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source)
        # The stubs are compiled separately, so that the archive does not contain them.
        stand_ins = sorted((JAVA_FOLDER / STAND_INS_FOLDER).glob("*.java"))
        _run_javac(javac, stand_ins, output=work / "standin", classpath=None)
        shipped = sorted((work / "source").rglob("*.java"))
        classes = work / "classes"
        _run_javac(javac, shipped, output=classes, classpath=work / "standin")
        compiled = sorted(classes.rglob("*.class"))
        return pack_files({path.relative_to(classes).as_posix(): path.read_bytes() for path in compiled})


def _run_javac(javac: str, files: list[Path], *, output: Path, classpath: Path | None) -> None:
    command = [javac, "--release", "8", "-Xlint:-options", "-encoding", "UTF-8", "-d", str(output)]
    command += ["-classpath", str(classpath)] if classpath else []
    try:
        done = subprocess.run(
            ending_with_parent([*command, *map(str, files)]),
            capture_output=True,
            text=True,
            timeout=JAVAC_LIMIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(javac, f"cannot be run ({error})", JDK_HINT, code="tool-failed") from error
    if done.returncode:
        line = next(iter((done.stderr or done.stdout).splitlines()), "no output")
        what = f"cannot compile the Java sources of the bundle ({line[:200]})"
        raise InputError(javac, what, JDK_HINT, code="tool-failed")
