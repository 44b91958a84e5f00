"""The steps of a build, and their options from a TOML file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import click

from dermpack.cli import LazyGroup, program
from dermpack.errors import EXTRA_OF_MODULE, InputError, MissingExtraError, TableError, escape_unprintable
from dermpack.storage.toml_file import read_toml

StepOptions: TypeAlias = Mapping[str, tuple[str, ...]]  # step → its further command-line arguments

COMMANDS = {
    "import": ("data", "import"),
    "check": ("data", "check"),
    "report": ("data", "report"),
    "train": ("train",),
    "evaluate": ("evaluate",),
    "convert": ("convert",),
    "verify": ("verify",),
    "benchmark": ("benchmark",),
    "package": ("package",),
}
# A build sets the first of these itself; --folds and --compare would not make what the next step reads.
NOT_CONFIGURABLE = ("output", "data", "predictions", "json", "quiet", "overwrite", "help", "folds", "compare")
QUANTIZATIONS = ("int8", "float32", "float16", "dynamic", "int16x8")
PREDICTIONS_FILE = "predictions.csv"
BUNDLE_FILE = "bundle.zip"
EXTRAS = ("data", "train")
INTERPRETERS = ("ai_edge_litert", "tflite_runtime")  # one is enough
OLD_PYTHON_ONLY = "tomli"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStep:
    """One command of a build.

    `key` is compared with that of an earlier build: a step is skipped only if it is the same. `output`
    is written atomically; None is a check, which is run every time because it is cheap and files may
    have changed. `table` is a file that the step writes as well.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    key: tuple[str, ...]
    output: Path | None = None
    table: Path | None = None

    @property
    def written(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.output, self.table) if path is not None)


def build_steps(
    pictures: Path, folder: Path, options: StepOptions, *, bundle: str = BUNDLE_FILE
) -> tuple[BuildStep, ...]:
    """Return the steps from a folder of pictures to a verified bundle, with all outputs in `folder`."""
    given = {name: options.get(name, ()) for name in COMMANDS}
    dataset, run, export = (str(folder / name) for name in ("dataset", "run", "export"))
    table = folder / PREDICTIONS_FILE

    def step(
        name: str, title: str, output: str, *arguments: str, key: str = "", table: Path | None = None
    ) -> BuildStep:
        return BuildStep(
            name=name,
            title=title,
            arguments=(*COMMANDS[name], *arguments),
            key=(*filter(None, [key]), *given[name]),
            output=folder / output if output else None,
            table=table,
        )

    def to(output: str) -> tuple[str, str]:
        return "-o", str(folder / output)

    # The key names the source relative to the folder, so that both can be moved together.
    source = escape_unprintable(os.path.relpath(pictures, folder))
    return (
        step(
            *("import", "Importing the pictures", "dataset", str(pictures), *to("dataset"), *given["import"]),
            key=source,
        ),
        step("check", "Checking the dataset", "", dataset, *given["check"]),
        step("report", "Describing the dataset", "report", dataset, *to("report"), *given["report"]),
        step("train", "Training a network", "run", dataset, *to("run"), *given["train"]),
        step(
            *("evaluate", "Evaluating the network", "evaluation", run, dataset, *to("evaluation")),
            *("--predictions", str(table), *given["evaluate"]),
            table=table,
        ),
        step("convert", "Converting it to a .tflite", "export", run, *to("export"), *given["convert"]),
        step("verify", "Verifying the export", "", export, dataset, *given["verify"]),
        step(
            *("benchmark", "Measuring its latency", "benchmark", export, "--data", dataset),
            *(*given["benchmark"], *to("benchmark")),
        ),
        step("package", "Packaging it for an app", bundle, export, *to(bundle), *given["package"]),
    )  # fmt: skip


def require_extras() -> None:
    """Raise MissingExtraError, before any work, that names all extras which a build needs and lacks."""
    modules = [name for name, extra in EXTRA_OF_MODULE.items() if extra in EXTRAS and name != OLD_PYTHON_ONLY]
    missing = [name for name in modules if find_spec(name) is None]
    if not any(map(find_spec, INTERPRETERS)):
        missing.append(INTERPRETERS[0])
    if missing:
        extras = {EXTRA_OF_MODULE[name] for name in missing}
        wanted = extras - {"data"} if "train" in extras else extras  # train includes data
        raise MissingExtraError(missing[0], ",".join(sorted(wanted)))


def read_step_options(path: Path) -> StepOptions:
    """Read the options of each step from TOML: `[train] epochs = 5` → {"train": ("--epochs", "5")}."""
    options: dict[str, tuple[str, ...]] = {}
    for name, table in read_toml(path).items():
        if name not in COMMANDS:
            hint = f"Name the tables by the steps: {', '.join(COMMANDS)}."
            raise TableError(path, f"unknown step [{name}]", hint, code="invalid-option")
        if not isinstance(table, dict):
            hint = f"Write [{name}] with an option on each line."
            raise TableError(path, f"{name} is not a table", hint, code="invalid-option")
        options[name] = tuple(_arguments(path, name, table))
    # With several, `convert` writes a folder of exports, which has no single file to evaluate and package.
    chosen = [name for name in QUANTIZATIONS if f"--{name}" in options.get("convert", ())]
    if len(chosen) > 1:
        what = f"[convert] names several quantizations ({', '.join(chosen)}), but a build makes one file"
        raise TableError(path, what, "Choose one of them.", code="conflicting-options")
    return options


def check_steps(steps: Sequence[BuildStep], config: Path) -> None:
    """Parse the command line of every step, so that an invalid value is an error before the first step."""
    for step in steps:
        words = COMMANDS[step.name]
        try:
            _command(step.name).make_context(step.name, list(step.arguments[len(words) :])).close()
        except click.UsageError as error:
            what = f"[{step.name}] is invalid ({error.format_message().rstrip('.')})"
            hint = f'Run "dermpack {" ".join(words)} --help" to see the options.'
            raise InputError(config, what, hint, code="invalid-option") from error


def _command(step: str) -> click.Command:
    group: click.Command | None = program
    for word in COMMANDS[step]:
        assert isinstance(group, LazyGroup)
        group = group.get_command(click.Context(group), word)
    assert group is not None
    return group


def _arguments(path: Path, step: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the command-line arguments of one table; a key is the long name of an option."""
    options = {
        spelling.removeprefix("--"): option
        for option in _command(step).params
        if isinstance(option, click.Option)
        for spelling in (*option.opts, *option.secondary_opts)
        if spelling.startswith("--")
    }
    # They would break the chain of folders between the steps.
    for name in NOT_CONFIGURABLE:
        options.pop(name, None)
    for key, value in table.items():
        # The TOML files of recipes use underscores, so both spellings are accepted.
        name = key.replace("_", "-")
        if name not in options:
            what, hint = f"unknown option {key!r} in [{step}]", f"Use one of: {', '.join(sorted(options))}."
            raise TableError(path, what, hint, code="invalid-option")
        try:
            yield from _option_arguments(options[name], f"--{name}", value)
        except ValueError as error:
            hint = f'Run "dermpack {" ".join(COMMANDS[step])} --help" to see the options.'
            raise TableError(path, f"[{step}] {key} {error}", hint, code="invalid-option") from error


def _option_arguments(option: click.Option, spelling: str, value: Any) -> Iterator[str]:
    """Yield the arguments of one option; raise ValueError if its value has a wrong type."""
    if option.is_flag:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        if value:
            yield spelling
        elif option.secondary_opts:  # the opposite of --keep-splits is --new-splits
            yield next(name for name in (*option.opts, *option.secondary_opts) if name != spelling)
        return
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, bool) or not isinstance(item, (str, int, float)) for item in items):
        raise ValueError("must be a text, a number or a list of them")
    # An option that takes one value has lists in the form "64,32".
    for item in items if option.multiple else [",".join(map(str, items))]:
        yield from (spelling, str(item))
