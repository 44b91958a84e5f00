"""Groups whose commands are imported when they are called, so that --help is instant."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class LazyGroup(click.Group):
    """`commands_in`: name → the module that has a command `command`, and the line that --help shows."""

    def __init__(self, *, commands_in: Mapping[str, tuple[str, str]], name: str, text: str) -> None:
        super().__init__(name=name, help=text, context_settings=SETTINGS)
        self.commands_in = commands_in

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands_in)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.commands_in:
            return None
        command = import_module(self.commands_in[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.commands_in.items()])
