"""dermpack serve: answer pictures over HTTP, and manage a collection of pictures."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from dermpack.cli import LazyGroup, options
from dermpack.cli.console import Printer
from dermpack.storage.files import is_directory

RUN, EXPORT = "run", "export"
SCHEMA = 1
COMMANDS = {
    RUN: ("dermpack.cli.serve:run", "Serve a model; the word run may be omitted."),
    "people": ("dermpack.cli.serve.collection:people", "Manage reviewers and curators."),
    EXPORT: ("dermpack.cli.serve.collection:export", "Write the accepted pictures as a folder."),
    "check": ("dermpack.cli.serve.collection:check", "Compare the database of a collection with its files."),
}
TEXT = """Serve a model on this machine: a page that answers pictures, and an API.

"dermpack serve EXPORT" is short for "dermpack serve run EXPORT", and "dermpack serve run --help" lists its
options.
"""


class ServeGroup(LazyGroup):
    """A group in which the name of no command means `run`, and so does a model in the folder `export`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in ctx.help_option_names and not self._is_command(args):
            args = [RUN, *args]
        return super().parse_args(ctx, args)

    def _is_command(self, args: list[str]) -> bool:
        # "export" is also the usual name of a model's folder: only the command has an output.
        has_output = any(arg in ("-h", "--help") or arg.startswith(("-o", "--output")) for arg in args)
        is_model = args[0] == EXPORT and is_directory(Path(EXPORT)) and not has_output
        return args[0] in self.commands_in and not is_model


command = ServeGroup(commands_in=COMMANDS, name="serve", text=TEXT)


@click.command(RUN)
@click.argument("model", type=options.PATH, metavar="EXPORT|BUNDLE")
@options.flag("--collect", "Also accept pictures with consent for a dataset; requires --data.")
@options.path("--data", "FOLDER", "Folder of the collected pictures and their database.")
@click.option(
    "--database", metavar="URL",
    help="Store the rows of the collection in another database, such as postgresql://…  "
    "[default: SQLite in the folder of --data]",
)  # fmt: skip
@click.option(
    "--keep-days", type=click.IntRange(1, 36_500), metavar="NUMBER",
    help="Remove collected pictures after so many days, accepted or not; export them before.  "
    "[default: never]",
)  # fmt: skip
@options.file("--consent", "FILE", "The text that people agree to; its first line is version: NAME.")
@click.option(
    "--submission-rate", type=click.IntRange(1, 1_000_000), default=10, show_default=True, metavar="NUMBER",
    help="Maximum number of submissions from one address per hour.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8765, show_default=True,
    help="Port to listen on; 0 selects a free one.",
)  # fmt: skip
@click.option(
    "--public-url", metavar="https://…",
    help="Address of the proxy that terminates TLS, by which people reach the server.",
)  # fmt: skip
@click.option(
    "--proxy", "proxies", multiple=True, metavar="ADDRESS",
    help="With --public-url: address of the proxy, whose X-Forwarded-For is used; can be repeated.  "
    "[default: this machine]",
)  # fmt: skip
@click.option(
    "--rate", type=click.IntRange(1, 1_000_000), metavar="NUMBER",
    help="Maximum number of predictions for one address per minute.  "
    "[default: 60 with --public-url, else no limit]",
)  # fmt: skip
@options.flag("--open", "Open the page in the browser of this machine.")
@options.printer
def run(
    model: Path,
    collect: bool,
    data: Path | None,
    database: str | None,
    keep_days: int | None,
    consent: Path | None,
    submission_rate: int,
    host: str,
    port: int,
    public_url: str | None,
    proxies: tuple[str, ...],
    rate: int | None,
    open: bool,  # noqa: A002 - the name of the option
    printer: Printer,
) -> None:
    """Serve the model in EXPORT or BUNDLE until Ctrl-C: a page that answers pictures, and an API.

    Pictures are answered and forgotten; nothing is stored without --collect. Only this machine can connect,
    unless --host is given with --public-url, the address of a proxy that terminates TLS.

    \b
    Examples:
      dermpack serve run export --open
      dermpack serve run skin.zip --port 0 --json
      dermpack serve run export --collect --data submissions --public-url https://skin.example.org
    """
    if collect != (data is not None):
        raise click.UsageError("--collect requires --data, and --data requires --collect.")
    if not collect and (database or keep_days or consent):
        raise click.UsageError("--database, --keep-days and --consent require --collect.")
    from dermpack.bundle.web.site import AnsweredBy
    from dermpack.serving.serve import StartedServer, serve
    from dermpack.serving.settings import CollectionSettings, ServerSettings

    collection = None
    if data is not None:
        collection = CollectionSettings(
            data=data,
            database=database,
            keep_days=keep_days,
            consent=consent,
            submissions_per_hour=submission_rate,
        )
    settings = ServerSettings(
        host=host,
        port=port,
        public_url=public_url,
        **({"proxies": proxies} if proxies else {}),
        predictions_per_minute=rate or (60 if public_url else None),
        collection=collection,
    )

    def announce(server: StartedServer) -> None:
        url = server.url
        printer.result({"schema": SCHEMA, "url": url, "answers": server.answered_by.value}, url)
        if server.answered_by is AnsweredBy.BROWSER:
            printer.note("the page answers in the browser: it sends no picture")
        else:
            printer.note("the page sends pictures to this server, which answers and forgets them")
        if collect:
            printer.note(f"people submit at {url}submit and sign in at {url}sign-in")
        printer.note("stop with Ctrl-C")
        if open and not webbrowser.open_new_tab(url):
            printer.note("no browser could be opened")

    serve(model, settings, on_start=announce)
    printer.note("stopped")
