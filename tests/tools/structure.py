"""Print how the source is structured: `python -m tests.tools.structure [FOLDER]`.

The table compares modules, functions, class names, comments and exported names with the goals of the
architecture. Other projects can be measured in the same way by naming their source folders.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import REPOSITORY

PACKAGES = ("dermpack", "trainer", "converter", "benchmarks")
Goals = Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """The counts of some folders of Python source."""

    modules: int
    largest_folder: tuple[str, int]
    median_lines: float
    lines: int
    private_functions: int
    referenced_once: int
    repeated_classes: tuple[str, ...]
    comment_lines: int
    exported_names: int


def measure(folders: Sequence[Path]) -> Structure:
    """Count modules, lines, functions, classes and comments below the folders."""
    paths = sorted(path for folder in folders for path in folder.rglob("*.py"))
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    lines = {path: text.splitlines() for path, text in texts.items()}
    per_folder = Counter(path.parent for path in paths)
    classes: Counter[str] = Counter()
    private = once = 0
    for text in texts.values():
        tree = ast.parse(text)
        classes.update(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
        names, references = private_functions(tree)
        private += len(names)
        once += sum(references[name] <= 1 for name in names)
    largest, count = per_folder.most_common(1)[0]
    return Structure(
        modules=len(paths),
        largest_folder=(largest.name, count),
        median_lines=statistics.median(len(rows) for rows in lines.values()),
        lines=sum(len(rows) for rows in lines.values()),
        private_functions=private,
        referenced_once=once,
        repeated_classes=tuple(sorted(name for name, number in classes.items() if number > 1)),
        comment_lines=sum(row.lstrip().startswith("#") for rows in lines.values() for row in rows),
        exported_names=max((len(exported(folder / "__init__.py")) for folder in folders), default=0),
    )


def private_functions(tree: ast.Module) -> tuple[set[str], Counter[str]]:
    """Return the private functions of a module, and how often each name is used in it."""
    names: set[str] = set()
    references: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_") and not node.name.startswith("__"):
                names.add(node.name)
        elif isinstance(node, ast.Name):
            references[node.id] += 1
        elif isinstance(node, ast.Attribute):
            references[node.attr] += 1
    return names, references


def exported(path: Path) -> list[str]:
    """Return `__all__` of a module; empty where the file or the name is missing."""
    if not path.exists():
        return []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        is_all = isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        )
        if is_all and isinstance(node, ast.Assign):
            return list(ast.literal_eval(node.value))
    return []


def rows(found: Structure) -> Goals:
    """Return the table: what is measured, its value, the goal."""
    folder, largest = found.largest_folder
    share = found.referenced_once / max(found.private_functions, 1)
    comments = 1000 * found.comment_lines / max(found.lines, 1)
    repeated = ", ".join(found.repeated_classes) or "0"
    return (
        ("modules; largest folder", f"{found.modules}; {largest} ({folder})", "at most 270; about 15"),
        ("median lines per module", f"{found.median_lines:g}", "110 to 160"),
        ("private functions referenced once", f"{share:.0%} of {found.private_functions}", "at most 60 %"),
        ("class names defined more than once", repeated, "0"),
        ("comment lines per 1,000 lines", f"{comments:.1f}", "at least 15"),
        ("names exported at the root", str(found.exported_names), "20 to 40"),
        ("source lines", f"{found.lines:,}", "at most 33,000"),
    )


def main(arguments: Sequence[str]) -> None:
    """Print the table for the project, or for the folders that are named."""
    folders = [Path(name) for name in arguments] or [REPOSITORY / name for name in PACKAGES]
    sys.stdout.write("| measured | value | goal |\n| --- | --- | --- |\n")
    for cells in rows(measure(folders)):
        sys.stdout.write(f"| {' | '.join(cells)} |\n")


if __name__ == "__main__":
    main(sys.argv[1:])
