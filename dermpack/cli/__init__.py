"""The command line: each command parses its arguments, makes one call and prints the result.

`main` is the only place where errors become text.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

import click

from dermpack import __version__
from dermpack.cli.signals import SignalError, interruptible
from dermpack.cli.system_errors import OUT_OF_MEMORY, find_system_error
from dermpack.errors import DermpackError, escape_unprintable, show_foreign
from dermpack.processes.limits import avoid_threads_under_limit

NOTHING_WRITTEN = "interrupted; nothing was written"
# The usual exit codes after a signal: 128 and its number. SIGINT is Ctrl-C, SIGTERM is what `kill` sends.
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
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
    "package": ("dermpack.cli.package", "Package an export into one file for an Android app or a web site."),
    "predict": ("dermpack.cli.predict", "Predict the labels of pictures, with probabilities."),
    "serve": (
        "dermpack.cli.serve",
        "Serve a model on this machine: a page that answers pictures, and an API.",
    ),
    "evaluate": ("dermpack.cli.evaluate", "Score a run or a .tflite on a dataset, with intervals."),
}


class FailedWithResultError(Exception):
    """A command failed after it had printed its result, so stdout gets no second JSON document."""

    def __init__(self, error: DermpackError) -> None:
        super().__init__(str(error))
        self.error = error


class InterruptedWorkError(click.exceptions.Abort):
    """Ctrl-C or SIGTERM during work that can be resumed; its text is the line to print."""


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
    """Run the program and return its exit code: 0 success, 1 bad input, 2 usage, 130 or 143 interrupted."""
    avoid_threads_under_limit()
    try:
        with interruptible() as signals:
            code = _run_program(arguments)
    except SignalError as error:  # one more, while the line about the first was printed
        return 128 + error.number
    return TERMINATED if code == INTERRUPTED and signal.SIGTERM in signals else code


def _run_program(arguments: Sequence[str] | None) -> int:
    is_json_wanted = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        code = program.main(args=arguments, prog_name="dermpack", standalone_mode=False)
        if sys.stdout is not None:  # it is None after `dermpack … >&-`
            sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        return _print_line(show_foreign(interruption_line(error)), INTERRUPTED)
    except click.ClickException as error:
        _show_usage_error(error)
        return error.exit_code
    except FailedWithResultError as failed:
        return _print_error(failed.error, as_json=False)
    except BrokenPipeError:  # `dermpack … | head`
        drop_stdout()
        return 1
    except DermpackError as error:
        return _print_error(error, as_json=is_json_wanted)
    except (OSError, ImportError, MemoryError, ValueError, RuntimeError) as error:
        known = find_system_error(error, sys.argv[1:] if arguments is None else arguments)
        if known is None:
            raise
        exit_code = _print_error(known, as_json=is_json_wanted)
        if known.code == OUT_OF_MEMORY and arguments is None:
            _exit_now(exit_code)
        return exit_code
    return code if isinstance(code, int) else 0


def _exit_now(code: int) -> NoReturn:
    """End the program at once: a library that could not start all its threads may wait for them for ever."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or None
            stream.flush()
    os._exit(code)


def _show_usage_error(error: click.ClickException) -> None:
    """Print a usage error as click does, with the foreign text in its message escaped and shortened."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()  # the help of a group without a command, which has several lines and nothing foreign
        return
    message = show_foreign(error.format_message())
    context = error.ctx if isinstance(error, click.UsageError) else None
    shown = click.UsageError(message, ctx=context) if context else click.ClickException(message)
    shown.show()


def _print_error(error: DermpackError, *, as_json: bool) -> int:
    """Print the error as one line on stderr and, with --json, as an object on stdout."""
    if as_json:
        fields = {name: getattr(error, name) for name in ("code", "where", "what", "hint")}
        with suppress(OSError):  # stdout itself may be what failed
            click.echo(json.dumps({"error": fields}, sort_keys=True, indent=2))
    return _print_line(f"error[{error.code}]: {error}", 1)


def _print_line(line: str, code: int) -> int:
    # After `dermpack … 2>&-`, stderr is None, and print would write to stdout.
    if sys.stderr is not None:
        with suppress(OSError):
            print(escape_unprintable(line), file=sys.stderr)  # noqa: T201 - not click.echo: it may be what failed
    return code


def interruption_line(error: BaseException) -> str:
    """Return the line to print; work that is not resumable is written atomically, so nothing is kept."""
    return str(error) if isinstance(error, InterruptedWorkError) else NOTHING_WRITTEN


def drop_stdout() -> None:
    """Discard what could not be written: some Pythons retry at exit, and end with code 120 then."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
