"""The steps of a build, and their options from a TOML file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import click

from dermpack.cli import LazyGroup, program
from dermpack.cli.convert import RECIPES
from dermpack.errors import EXTRA_OF_MODULE, InputError, MissingExtraError, TableError, escape_unprintable
from dermpack.storage.toml_text import read_toml

StepOptions: TypeAlias = Mapping[str, tuple[str, ...]]  # step → its further command-line arguments

# The title and the command line of each step. A lower-case word is a file in the folder of the build; OPTIONS
# are those from the TOML file; REPORTS are what the build itself measured, for the model card.
STEPS = {
    "import": ("Importing the pictures", "data import", "PICTURES -o dataset OPTIONS"),
    "check": ("Checking the dataset", "data check", "dataset OPTIONS"),
    "report": ("Describing the dataset", "data report", "dataset -o report OPTIONS"),
    "train": ("Training a network", "train", "dataset -o run OPTIONS"),
    "convert": ("Converting it to a .tflite", "convert", "run -o export OPTIONS"),
    # After the conversion: what counts is the accuracy of the file that is packaged.
    "evaluate": (
        *("Evaluating the file", "evaluate"),
        "export dataset -o evaluation --predictions predictions.csv OPTIONS",
    ),
    "verify": ("Verifying the export", "verify", "export dataset OPTIONS"),
    "benchmark": ("Measuring its latency", "benchmark", "export --data dataset OPTIONS -o benchmark"),
    "package": ("Packaging it for an app", "package", "export -o BUNDLE OPTIONS REPORTS"),
}
# Only where the runtime of web bundles is in the cache. The format stands last: it replaces another one.
WEB_STEP = {"web": ("Packaging it for a browser", "package", "export -o WEB OPTIONS REPORTS --format=web")}
ALL_STEPS = {**STEPS, **WEB_STEP}
WEB_FILE = "web.zip"
REPORT_OPTIONS = {"--scores": "evaluation", "--benchmark": "benchmark"}  # unless others are given
# The options of the bundle for an app that apply to the one for a browser, too.
SHARED_WITH_WEB = ("--name", "--version", "--describe", "--scores", "--benchmark", "--golden", "--sign")
# They would break the chain of folders between the steps: a build sets the first of these itself, and with
# --folds and --compare a step would not make what the next step reads.
NOT_CONFIGURABLE = ("output", "data", "predictions", "json", "quiet", "overwrite", "help", "folds", "compare")

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


def build_steps(
    pictures: Path,
    folder: Path,
    options: StepOptions,
    *,
    bundle: str = BUNDLE_FILE,
    steps: Mapping[str, tuple[str, str, str]] = STEPS,
) -> tuple[BuildStep, ...]:
    """Return the steps from a folder of pictures to a verified bundle, with all outputs in `folder`."""
    places = {"PICTURES": pictures, "BUNDLE": folder / bundle, "WEB": folder / WEB_FILE}
    # The key names the source relative to the folder, so that both can be moved together.
    source = escape_unprintable(os.path.relpath(pictures, folder))
    built = []
    pairs = pairwise(options.get("package", ()))
    shared = tuple(part for name, value in pairs if name in SHARED_WITH_WEB for part in (name, value))
    options = {**options, **dict.fromkeys(WEB_STEP, shared)}
    for name, (title, command, line) in steps.items():
        given, arguments, paths = options.get(name, ()), command.split(), {}
        last = ""
        for word in line.split():
            if word == "OPTIONS":
                arguments += given
                continue
            if word == "REPORTS":
                reports = {name: folder / file for name, file in REPORT_OPTIONS.items() if name not in given}
                arguments += [part for name, path in reports.items() for part in (name, str(path))]
                continue
            if not word.startswith("-"):
                paths[last] = places.get(word, folder / word)
            arguments.append(word if word.startswith("-") else str(paths[last]))
            last = word
        step = BuildStep(
            name=name,
            title=title,
            arguments=tuple(arguments),
            key=(source if name == "import" else line, *given),
            output=paths.get("-o"),
            table=paths.get("--predictions") or paths.get("--csv"),
        )
        built.append(step)
    return tuple(built)


def available_steps() -> Mapping[str, tuple[str, str, str]]:
    """Return the steps of a build on this machine."""
    from dermpack.bundle.web.runtime import is_runtime_cached

    return ALL_STEPS if is_runtime_cached() else STEPS


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
        if name not in STEPS:
            hint = f"Name the tables by the steps: {', '.join(STEPS)}."
            raise TableError(path, f"unknown step [{name}]", hint, code="invalid-option")
        if not isinstance(table, dict):
            hint = f"Write [{name}] with an option on each line."
            raise TableError(path, f"{name} is not a table", hint, code="invalid-option")
        options[name] = tuple(_arguments(path, name, table))
    # With several, `convert` writes a folder of exports, which has no single file to evaluate and package.
    chosen = [name for name in RECIPES if f"--{name}" in options.get("convert", ())]
    if len(chosen) > 1:
        what = f"[convert] names several quantizations ({', '.join(chosen)}), but a build makes one file"
        raise TableError(path, what, "Choose one of them.", code="conflicting-options")
    return options


def check_steps(steps: Sequence[BuildStep], config: Path) -> None:
    """Parse the command line of every step, so that an invalid value is an error before the first step."""
    for step in steps:
        try:
            read_parameters(step)
        except click.UsageError as error:
            what = f"[{step.name}] is invalid ({error.format_message().rstrip('.')})"
            raise InputError(config, what, _help_hint(step.name), code="invalid-option") from error


def read_parameters(step: BuildStep) -> Mapping[str, Any]:
    """Return the values of all parameters of a step's command; raise click.UsageError if one is invalid."""
    count = len(ALL_STEPS[step.name][1].split())
    with _command(step.name).make_context(step.name, list(step.arguments[count:])) as context:
        return dict(context.params)


def _command(step: str) -> click.Command:
    command: click.Command = program
    for word in ALL_STEPS[step][1].split():
        assert isinstance(command, LazyGroup)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return command


def _help_hint(step: str) -> str:
    return f'Run "dermpack {ALL_STEPS[step][1]} --help" to see the options.'


def _arguments(path: Path, step: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the command-line arguments of one table; a key is the long name of an option."""
    options = {
        spelling.removeprefix("--"): option
        for option in _command(step).params
        if isinstance(option, click.Option)
        for spelling in (*option.opts, *option.secondary_opts)
        if spelling.startswith("--") and spelling.removeprefix("--") not in NOT_CONFIGURABLE
    }
    for key, value in table.items():
        # The TOML files of recipes use underscores, so both spellings are accepted.
        name = key.replace("_", "-")
        if name not in options:
            what, hint = f"unknown option {key!r} in [{step}]", f"Use one of: {', '.join(sorted(options))}."
            raise TableError(path, what, hint, code="invalid-option")
        try:
            yield from _option_arguments(options[name], f"--{name}", value)
        except ValueError as error:
            raise TableError(
                path, f"[{step}] {key} {error}", _help_hint(step), code="invalid-option"
            ) from error


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
