"""Fetch from Maven Central what Android builds without Gradle need, in the versions of Gradle's catalog."""

from __future__ import annotations

import re
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

PLUGIN = "3.6.1"  # maven-dependency-plugin
Artifact = tuple[str, str, str, str]  # group, name, its version in the catalog, packaging
RUNTIME: tuple[Artifact, ...] = (("org.tensorflow", "tensorflow-lite-api", "tensorflowLite", "aar"),)
PLATFORM: tuple[Artifact, ...] = (
    ("org.robolectric", "android-all", "androidAll", "jar"),
    ("org.apktool", "apktool-lib", "apktool", "jar"),  # contains an aapt2 that reads resources of API 36
)
JUNIT: tuple[Artifact, ...] = (("net.java.dev.jna", "jna", "jna", "jar"), ("junit", "junit", "junit", "jar"))
# What is copied as it is, and what is copied with everything that it needs itself.
COPIED: dict[str, tuple[Artifact, ...]] = {
    "build": (
        *RUNTIME,
        *PLATFORM,
        *JUNIT,
        ("com.jakewharton.android.repackaged", "dalvik-dx", "dx", "jar"),
        ("org.tensorflow", "tensorflow-lite", "tensorflowLite", "aar"),
        ("org.robolectric", "android-all", "androidAllOldest", "jar"),
        ("org.hamcrest", "hamcrest-core", "hamcrest", "jar"),
        ("androidx.test", "monitor", "androidxTestMonitor", "aar"),
        ("org.jetbrains.kotlin", "kotlin-compiler-embeddable", "kotlin", "jar"),
        ("org.jetbrains.kotlin", "kotlin-stdlib", "kotlin", "jar"),
        ("org.jetbrains.kotlin", "kotlin-script-runtime", "kotlin", "jar"),
        ("org.jetbrains.kotlinx", "kotlinx-coroutines-core-jvm", "kotlinCoroutines", "jar"),
        ("org.jetbrains.intellij.deps", "trove4j", "trove", "jar"),
        ("org.jetbrains", "annotations", "kotlinAnnotations", "jar"),
    ),
    "screens": (*PLATFORM, ("org.robolectric", "android-all-instrumented", "androidAllScreens", "jar")),
}
CHECKS = "com.google.android.apps.common.testing.accessibility.framework"
RESOLVED: dict[str, tuple[Artifact, ...]] = {
    "build": (),
    "screens": (
        # Named first: the accessibility checks require an Android build of it, which Robolectric cannot use.
        ("com.google.guava", "guava", "guava", "jar"),
        ("org.robolectric", "robolectric", "robolectric", "jar"),
        (CHECKS, "accessibility-test-framework", "accessibilityChecks", "aar"),
        ("org.hamcrest", "hamcrest", "hamcrestOfChecks", "jar"),
        ("org.jspecify", "jspecify", "jspecify", "jar"),
        *RUNTIME,
        *JUNIT,
    ),
}
# Artifacts of Google's repository, which is not used; the tests contain the only class that is needed.
EXCLUDED = ("androidx.core", "com.google.android.material", "org.checkerframework", "org.hamcrest")
VERSIONED = re.compile(r"-\d[\w.]*(\.jar|\.aar)$")
PLAIN_NAMES = ("dalvik-dx", "jna", "junit", "hamcrest-core", "jspecify", "kotlin-stdlib")
DECLARED = ("android/", "com/android/internal/", "dalvik/", "libcore/", "org/xmlpull/")
JAVA_8 = 52  # version of class files
AAPT2 = "prebuilt/linux/aapt2_64"


def pom(catalog: str, kind: str, into: str) -> None:
    """Write a file with which mvn copies every artifact in the version of the catalog."""
    text = Path(catalog).read_text(encoding="utf-8")
    versions = dict(re.findall(r'^(\w+) = "([^"]+)"', text, re.MULTILINE))

    def coordinates(artifact: Artifact) -> str:
        group, name, version, packaging = artifact
        return (
            f"<groupId>{group}</groupId><artifactId>{name}</artifactId><version>{versions[version]}</version>"
            f"<type>{packaging}</type>"
        )

    items = "".join(f"<artifactItem>{coordinates(artifact)}</artifactItem>\n" for artifact in COPIED[kind])
    excluded = "".join(
        f"<exclusion><groupId>{group}</groupId><artifactId>*</artifactId></exclusion>" for group in EXCLUDED
    )
    needed = "".join(
        f"<dependency>{coordinates(artifact)}"
        f"{f'<exclusions>{excluded}</exclusions>' if artifact[0] == CHECKS else ''}</dependency>\n"
        for artifact in RESOLVED[kind]
    )
    Path(into).write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>\n'
        "<groupId>dermpack</groupId><artifactId>android-tools</artifactId><version>1</version>"
        f"<packaging>pom</packaging>\n<dependencies>\n{needed}</dependencies>\n"
        "<build><plugins><plugin><groupId>org.apache.maven.plugins</groupId>"
        f"<artifactId>maven-dependency-plugin</artifactId><version>{PLUGIN}</version><configuration>\n"
        f"<artifactItems>\n{items}</artifactItems></configuration></plugin></plugins></build></project>\n",
        encoding="utf-8",
    )


def unpack(jars: str) -> None:
    """Give plain names to some; unpack the AARs and aapt2; write Android's declarations."""
    folder = Path(jars)
    for path in sorted(folder.glob("*.aar")):
        with zipfile.ZipFile(path) as archive:
            (folder / VERSIONED.sub(".jar", path.name)).write_bytes(archive.read("classes.jar"))
            for entry in archive.namelist():
                if entry.startswith("jni/") and entry.endswith(".so"):
                    archive.extract(entry, folder)
        path.unlink()
    for path in sorted(folder.glob("*.jar")):
        plain = VERSIONED.sub(r"\1", path.name)
        if path.stem.startswith("android-all-instrumented"):
            (folder / "instrumented").mkdir(exist_ok=True)
            path.rename(folder / "instrumented" / path.name)
        elif path.stem.startswith("android-all"):
            (folder / "android").mkdir(exist_ok=True)
            _declare(path, folder / path.name.replace("android-all", "android"))
            path.rename(folder / "android" / path.name)
        elif path.stem.startswith("apktool-lib"):
            with zipfile.ZipFile(path) as archive:
                (folder / "aapt2").write_bytes(archive.read(AAPT2))
            (folder / "aapt2").chmod(0o755)
            path.unlink()
        elif plain.removesuffix(".jar") in PLAIN_NAMES and not (folder / plain).exists():
            path.rename(folder / plain)


def _declare(jar: Path, into: Path) -> None:
    """Copy Android's own classes, marked as old ones: a compiler of any JDK reads their declarations."""
    with zipfile.ZipFile(jar) as archive, zipfile.ZipFile(into, "w") as declared:
        for name in archive.namelist():
            if name.startswith(DECLARED) and name.endswith(".class"):
                data = archive.read(name)
                (version,) = struct.unpack_from(">H", data, 6)
                marked = struct.pack(">H", min(version, JAVA_8))
                declared.writestr(name, data[:6] + marked + data[8:])


COMMANDS: dict[str, Callable[..., None]] = {function.__name__: function for function in (pom, unpack)}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
