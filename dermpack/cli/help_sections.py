"""Add the options of a recipe to a command, and show them in sections with their defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

OTHER_OPTIONS = "Result"  # the section of the options that the command itself declares


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each field of `trainer.recipe.recipe.Recipe`, where they are declared."""
    from trainer.recipe.recipe import describe_options

    for option in reversed(describe_options()):
        add_option = click.option(
            f"--{option.name.replace('_', '-')}",
            metavar=option.metavar,
            help=option.help,
            multiple=option.is_repeatable,
            shell_complete=_complete_words,
        )
        command = add_option(command)
    return command


class RecipeCommand(click.Command):
    """A command whose options of a recipe are shown in the sections of their declarations."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from trainer.recipe.recipe import describe_options

        described = {option.name: option for option in describe_options()}
        sections: dict[str, list[tuple[str, str]]] = {OTHER_OPTIONS: []}
        for option in described.values():
            sections.setdefault(option.section, [])
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is None:
                continue
            description = described.get(str(param.name))
            if description is None:
                sections[OTHER_OPTIONS].append(record)
                continue
            default = description.default_text
            text = f"{record[1]}  [default: {default}]" if default else record[1]
            sections[description.section].append((record[0], text))
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _complete_words(_context: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the words with which a shell completes an option."""
    from trainer.recipe.recipe import describe_options

    words = next(option.words for option in describe_options() if option.name == param.name)
    return [word for word in words if word.startswith(incomplete)]
