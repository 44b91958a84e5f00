"""The command line: parse, one call, print; and the one boundary where errors become a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from dermpack import __version__
from dermpack.cli.console import FailedWithResultError, drop_stdout
from dermpack.cli.interruption import line_of
from dermpack.cli.lazy_group import LazyGroup
from dermpack.errors import DermpackError, missing_extra, printable

INTERRUPTED = 130  # what a shell expects after Ctrl-C
TEXT = """Turn a folder of skin pictures into a small, fast, trustworthy .tflite.

Research software, not a medical device: nothing it prints is a diagnosis.
"""
COMMANDS = {
    "demo": ("dermpack.cli.demo", "Run the whole chain on generated pictures, and sum it up."),
    "data": ("dermpack.cli.data", "Bring pictures in, split them honestly, check and look at them."),
    "train": ("dermpack.cli.train", "Train a network on a dataset; the same command again goes on."),
    "study": ("dermpack.cli.study", "Train a table of recipes, and hold them against each other."),
    "tune": ("dermpack.cli.tune", "Search for the best recipe, with as many workers as you start."),
    "convert": ("dermpack.cli.convert", "Turn a run into a .tflite that is read back, run and measured."),
    "inspect": ("dermpack.cli.inspect", "Show what a .tflite is, and what would go wrong with it."),
    "verify": ("dermpack.cli.verify", "Prove again, from the files alone, what an export promises."),
    "benchmark": ("dermpack.cli.benchmark", "Measure how fast .tflite files are, and what each one loses."),
    "package": ("dermpack.cli.package", "Make one file of an export that an Android app embeds."),
    "predict": ("dermpack.cli.predict", "Say what a .tflite takes pictures for, and how sure it is."),
    "evaluate": ("dermpack.cli.evaluate", "Score a run or a .tflite on a dataset, with intervals."),
}
program = LazyGroup(commands_in=COMMANDS, name="dermpack", text=TEXT)
click.version_option(__version__, prog_name="dermpack", message="%(prog)s %(version)s")(program)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; answer the exit code: 0 well, 1 bad input, 2 usage, 130 interrupted."""
    try:
        code = program.main(args=arguments, prog_name="dermpack", standalone_mode=False)
        if sys.stdout is not None:  # `dermpack … >&-` leaves none
            sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        return _say(line_of(error), INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except FailedWithResultError as failed:
        return _report(failed.error, as_json=False)
    except DermpackError as error:
        return _report(error, as_json=_is_json_wanted(arguments))
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        return _report(missing, as_json=_is_json_wanted(arguments))
    except BrokenPipeError:  # `dermpack … | head`
        drop_stdout()
        return 1
    return code if isinstance(code, int) else 0


def _is_json_wanted(arguments: Sequence[str] | None) -> bool:
    return "--json" in (sys.argv[1:] if arguments is None else arguments)


def _report(error: DermpackError, *, as_json: bool) -> int:
    """Print the error as one line on stderr and, if JSON is wanted, as an object on stdout."""
    if as_json:
        described = {"code": error.code, "where": error.where, "what": error.what, "hint": error.hint}
        with suppress(OSError):  # stdout itself may be what failed
            click.echo(json.dumps({"error": described}, sort_keys=True, indent=2))
    return _say(f"error[{error.code}]: {error}", 1)


def _say(line: str, code: int) -> int:
    print(printable(line), file=sys.stderr)  # noqa: T201 - the boundary speaks
    return code
