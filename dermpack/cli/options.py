"""Options that several commands have, and the options of a recipe with their sections in --help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeAlias

import click
from click.shell_completion import CompletionItem

from dermpack.cli.console import Printer

Command: TypeAlias = Callable[..., Any]
AddOption: TypeAlias = Callable[[Command], Command]

PATH = click.Path(path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OTHER_OPTIONS = "Result"  # the section of the options that a command with a recipe declares itself


class RecipeFile(click.Path):
    """The path of a recipe: an existing file, or the name of one that is part of dermpack."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; a file wins over a name."""
        from trainer.recipe.recipe import included_recipes

        if Path(value).exists():
            return super().convert(value, param, ctx)
        included = included_recipes()
        if value not in included:
            self.fail(f"{value!r} is neither a file nor one of {', '.join(included)}.", param, ctx)
        return included[value]

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that fit, and files."""
        from trainer.recipe.recipe import included_recipes

        names = [CompletionItem(name) for name in included_recipes() if name.startswith(incomplete)]
        return [*names, *super().shell_complete(ctx, param, incomplete)]


threads = click.option(
    "--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="Threads of the interpreter."
)

duplicates = click.option(
    "--duplicates", type=click.Choice(["thorough", "fast", "off"]), default=None,
    help="The search for duplicates. thorough: also crops, other sizes and colours, pictures with text, and "
    "other shots of one lesion, by features of a network and geometry; fast: copies of another size, "
    "compression or orientation, by perceptual hashes; off: identical pixels only.  [default: thorough up to "
    "20,000 pictures, which takes minutes, else fast]",
)  # fmt: skip


def printer(command: Command) -> Command:
    """Add the two options that every command has, and pass them to the command as a `printer`."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
    @click.option(
        *("-q", "--quiet"), is_flag=True,
        help="Print results and errors only: no progress, notes, warnings or tables.",
    )  # fmt: skip
    @wraps(command)
    def command_with_printer(*, as_json: bool, quiet: bool, **arguments: Any) -> Any:
        return command(printer=Printer(as_json=as_json, quiet=quiet), **arguments)

    return command_with_printer


def output(metavar: str, text: str, *, required: bool = True) -> AddOption:
    """Add -o, the path that the command writes."""
    return click.option("-o", "--output", metavar=metavar, required=required, type=PATH, help=text)


def flag(name: str, text: str) -> AddOption:
    """Add an option without a value."""
    return click.option(name, is_flag=True, help=text)


def path(name: str, metavar: str, text: str) -> AddOption:
    """Add an option whose value is a path; the command checks what is there."""
    return click.option(name, metavar=metavar, type=PATH, help=text)


def file(name: str, metavar: str, text: str) -> AddOption:
    """Add an option whose value is the path of an existing file."""
    return click.option(name, metavar=metavar, type=EXISTING_FILE, help=text)


def labels(text: str) -> AddOption:
    """Add --labels, the names of the outputs: a file of any of the usual forms, or a list."""
    return click.option("--labels", metavar="FILE|A,B,C", help=text)


def seed(what: str) -> AddOption:
    """Add --seed, the start of the random numbers for `what`."""
    return click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help=f"Seed of {what}."
    )


def split(use: str) -> AddOption:
    """Add --split, the split of DATASET that the command is to `use`."""
    from dermpack.dataset.manifest import Split

    names = [split.value for split in Split]
    return click.option(
        "--split", type=click.Choice(names), default="test", show_default=True,
        help=f"The split of DATASET to {use}.",
    )  # fmt: skip


def recipe(command: Command) -> Command:
    """Add an option for each field of `trainer.recipe.recipe.Recipe`, where they are declared."""
    from trainer.recipe.recipe import describe_options

    for option in reversed(describe_options()):
        command = click.option(
            f"--{option.name.replace('_', '-')}",
            metavar=option.metavar,
            help=option.help,
            multiple=option.is_repeatable,
            shell_complete=partial(_complete_words, option.words),
        )(command)
    return command


class RecipeCommand(click.Command):
    """A command whose options of a recipe are shown in the sections of their declarations."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from trainer.recipe.recipe import describe_options

        described = {option.name: option for option in describe_options()}
        titles = (OTHER_OPTIONS, *(option.section for option in described.values()))
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in titles}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is None:
                continue
            names, text = record
            field = described.get(str(param.name))
            default = f"  [default: {field.default_text}]" if field and field.default_text else ""
            sections[field.section if field else OTHER_OPTIONS].append((names, text + default))
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _complete_words(
    words: Sequence[str], _context: click.Context, _option: click.Parameter, incomplete: str
) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
