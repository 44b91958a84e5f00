"""The command line: each command parses its arguments, makes one call and prints the result.

`main` is the only place where errors become text.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module

import click

from dermpack import __version__
from dermpack.errors import DermpackError, escape_unprintable, find_missing_extra

NOTHING_WRITTEN = "interrupted; nothing was written"
INTERRUPTED = 130  # the usual exit code after Ctrl-C: 128 + SIGINT
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
TEXT = """Turn a folder of skin pictures into a small, fast .tflite whose every step is verified.

Research software, not a medical device: nothing that it prints is a diagnosis.
"""
COMMANDS = {
    "build": ("dermpack.cli.build", "Go from a folder of pictures to a verified bundle."),
    "demo": ("dermpack.cli.build:demo", "Run a build on generated pictures."),
    "data": ("dermpack.cli.data", "Import pictures, create splits, check and describe a dataset."),
    "train": ("dermpack.cli.train", "Train a network on a dataset, or resume a training."),
    "study": ("dermpack.cli.study", "Train several recipes and compare them."),
    "tune": ("dermpack.cli.tune", "Search for the best recipe, with one worker or several."),
    "convert": ("dermpack.cli.convert", "Convert a run to a .tflite, and verify and measure it."),
    "inspect": ("dermpack.cli.inspect", "Describe a .tflite and list its likely problems."),
    "verify": ("dermpack.cli.verify", "Check an export or a bundle from its files alone."),
    "benchmark": ("dermpack.cli.benchmark", "Measure the latency and the answers of .tflite files."),
    "package": ("dermpack.cli.package", "Package an export into one file for an Android app."),
    "predict": ("dermpack.cli.predict", "Predict the labels of pictures, with probabilities."),
    "evaluate": ("dermpack.cli.evaluate", "Score a run or a .tflite on a dataset, with intervals."),
}


class FailedWithResultError(Exception):
    """A command failed after it had printed its result, so stdout gets no second JSON document."""

    def __init__(self, error: DermpackError) -> None:
        super().__init__(str(error))
        self.error = error


class InterruptedWorkError(click.exceptions.Abort):
    """Ctrl-C during work that can be resumed; its text is the line to print."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that --help is instant.

    `commands_in` maps a name to the module of the `command`, or "module:name", and to the line in --help.
    """

    def __init__(self, *, commands_in: Mapping[str, tuple[str, str]], name: str, text: str) -> None:
        super().__init__(name=name, help=text, context_settings=SETTINGS)
        self.commands_in = commands_in

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands_in)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.commands_in:
            return None
        module, _, name = self.commands_in[cmd_name][0].partition(":")
        command = getattr(import_module(module), name or "command")
        assert isinstance(command, click.Command)
        command.short_help = self.commands_in[cmd_name][1]  # a shell shows it where it completes the name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.commands_in.items()])


program = LazyGroup(commands_in=COMMANDS, name="dermpack", text=TEXT)
click.version_option(__version__, prog_name="dermpack", message="%(prog)s %(version)s")(program)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code: 0 success, 1 bad input, 2 usage, 130 interrupted."""
    is_json_wanted = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        code = program.main(args=arguments, prog_name="dermpack", standalone_mode=False)
        if sys.stdout is not None:  # it is None after `dermpack … >&-`
            sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        return _print_line(interruption_line(error), INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except FailedWithResultError as failed:
        return _print_error(failed.error, as_json=False)
    except (DermpackError, ModuleNotFoundError) as error:
        known = error if isinstance(error, DermpackError) else find_missing_extra(error)
        if known is None:
            raise
        return _print_error(known, as_json=is_json_wanted)
    except BrokenPipeError:  # `dermpack … | head`
        drop_stdout()
        return 1
    return code if isinstance(code, int) else 0


def _print_error(error: DermpackError, *, as_json: bool) -> int:
    """Print the error as one line on stderr and, with --json, as an object on stdout."""
    if as_json:
        fields = {name: getattr(error, name) for name in ("code", "where", "what", "hint")}
        with suppress(OSError):  # stdout itself may be what failed
            click.echo(json.dumps({"error": fields}, sort_keys=True, indent=2))
    return _print_line(f"error[{error.code}]: {error}", 1)


def _print_line(line: str, code: int) -> int:
    print(escape_unprintable(line), file=sys.stderr)  # noqa: T201 - not click.echo: it may be what failed
    return code


def interruption_line(error: BaseException) -> str:
    """Return the line to print; work that is not resumable is written atomically, so nothing is kept."""
    return str(error) if isinstance(error, InterruptedWorkError) else NOTHING_WRITTEN


def drop_stdout() -> None:
    """Discard what could not be written: some Pythons retry at exit, and end with code 120 then."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
