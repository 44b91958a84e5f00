"""The command line: parse, one call, print; and the one boundary where errors become a line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from dermpack import __version__
from dermpack.errors import DermpackError, missing_extra, printable

INTERRUPTED = 130  # what a shell expects after Ctrl-C
COMMANDS = {  # name → module, and the line that --help shows; nothing is imported for it
    "data": ("dermpack.cli.data", "Bring pictures in, split them honestly, check and look at them."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="dermpack", message="%(prog)s %(version)s")
def program() -> None:
    """Turn a folder of skin pictures into a small, fast, trustworthy .tflite.

    Research software, not a medical device: nothing it prints is a diagnosis.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; answer the exit code: 0 well, 1 bad input, 2 usage, 130 interrupted."""
    try:
        code = program.main(args=arguments, prog_name="dermpack", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        return _say("interrupted", INTERRUPTED)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except DermpackError as error:
        return _say(f"error: {error}", 1)
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        return _say(f"error: {missing}", 1)
    except BrokenPipeError:  # `dermpack … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code if isinstance(code, int) else 0


def _say(line: str, code: int) -> int:
    print(printable(line), file=sys.stderr)  # noqa: T201 - the boundary speaks
    return code
