"""Check a wheel and a source distribution against the repository: `python -m tests.tools.release DIST`.

Every file in them is a file of the repository, they contain every file of the packages, and CHANGELOG.md
has a section about the version.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Collection, Iterator, Sequence
from email.parser import HeaderParser
from pathlib import Path

from tests.support.paths import REPOSITORY

PACKAGES = ("dermpack", "trainer", "converter", "benchmarks")
# What the build adds to the files of the repository.
ADDED_TO_SOURCES = re.compile(r"(PKG-INFO|setup\.cfg|dermpack\.egg-info/[\w.-]+)")
ADDED_TO_WHEEL = re.compile(r"dermpack-[^/]+\.dist-info/(licenses/)?[\w.-]+")
PRESENT_IN_SOURCES = ("README.md", "LICENSE", "setup.cfg", "pyproject.toml")


def tracked_files() -> list[str]:
    """Return the files that git tracks, relative to the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True)
    return [name for name in listed.stdout.decode().split("\0") if name]


def compare(
    names: Collection[str], tracked: Collection[str], added: re.Pattern[str], what: str
) -> Iterator[str]:
    """Yield one line for each file that should not be in a distribution, or is missing from it."""
    expected = {name for name in tracked if name.split("/", 1)[0] in PACKAGES and "/" in name}
    for name in sorted(set(names) - set(tracked)):
        if not added.fullmatch(name):
            yield f"{what}: {name} is not a file of the repository"
    for name in sorted(expected - set(names)):
        yield f"{what}: {name} is missing"


def wheel_problems(wheel: Path, tracked: Collection[str]) -> Iterator[str]:
    """Yield the problems with the files and the metadata of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        fields = HeaderParser().parsestr(archive.read(metadata).decode("utf-8"))
    yield from compare(names, tracked, ADDED_TO_WHEEL, "wheel")
    if not any(name.endswith("/LICENSE") for name in names):
        yield "wheel: the licence is missing"
    version = fields["Version"]
    headings = re.findall(r"^## (.+)$", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    if not any(version in heading for heading in headings):
        yield f"CHANGELOG.md has no section about version {version}, only {', '.join(headings)}"
    for field in ("Summary", "License", "Requires-Python", "Description-Content-Type"):
        if not fields[field] and not fields[f"{field}-Expression"]:
            yield f"wheel: the metadata has no {field}"


def source_problems(archive: Path, tracked: Collection[str]) -> Iterator[str]:
    """Yield the problems with the files of the source distribution."""
    with tarfile.open(archive) as source:
        names = [member.name.split("/", 1)[1] for member in source.getmembers() if member.isfile()]
    yield from compare(names, tracked, ADDED_TO_SOURCES, "source distribution")
    for name in PRESENT_IN_SOURCES:
        if name not in names:
            yield f"source distribution: {name} is missing"


def main(arguments: Sequence[str]) -> int:
    """Check the two files of a folder that `python -m build` filled."""
    (folder,) = map(Path, arguments)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    tracked = tracked_files()
    problems = [*wheel_problems(wheel, tracked), *source_problems(source, tracked)]
    for problem in problems:
        sys.stderr.write(problem + "\n")
    if not problems:
        sys.stdout.write(
            f"{wheel.name} and {source.name} contain what the repository has, and nothing else.\n"
        )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
