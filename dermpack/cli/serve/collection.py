"""dermpack serve people, export and check: manage a collection next to its running server."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from dermpack.cli import LazyGroup, options
from dermpack.cli.console import Printer
from dermpack.errors import count_noun

SCHEMA = 1
SHOWN = 20  # faults in the terminal; --json prints all
PEOPLE_COMMANDS = {
    "add": ("dermpack.cli.serve.collection:add", "Add a person and print the token, once."),
    "list": ("dermpack.cli.serve.collection:list_", "List the people with their roles."),
    "revoke": ("dermpack.cli.serve.collection:revoke", "End the token of a person."),
}
people = LazyGroup(
    commands_in=PEOPLE_COMMANDS, name="people", text="Manage the reviewers and curators of a collection."
)
data = click.option(
    "--data", metavar="FOLDER", type=options.PATH, required=True, help="The folder of the collection."
)
database = click.option(
    "--database", metavar="URL", help="The database, if the server was started with --database."
)


@click.command("add")
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["reviewer", "curator"]), required=True,
    help="reviewer: labels pictures; curator: also decides disputes, sees statistics and exports.",
)  # fmt: skip
@data
@database
@options.printer
def add(name: str, role: str, data: Path, database: str | None, printer: Printer) -> None:
    """Add NAME to the people who may sign in, and print the token, which cannot be shown again.

    The server can run meanwhile. Send the token over a channel that only this person can read.

    \b
    Example:
      dermpack serve people add "Dr. Rivera" --role reviewer --data submissions
    """
    from dermpack.serving.collection.people import PersonRole, add_person
    from dermpack.serving.collection.store import open_store

    with open_store(data, database, is_new=True) as store:
        token = add_person(store.database, name, PersonRole(role))
    printer.note("the token is shown only now; sign in with it at /sign-in")
    printer.result({"schema": SCHEMA, "name": name, "role": role, "token": token}, token)


@click.command("list")
@data
@database
@options.printer
def list_(data: Path, database: str | None, printer: Printer) -> None:
    """List everybody who was ever added; tokens are not stored, so they are not shown.

    \b
    Example:
      dermpack serve people list --data submissions
    """
    from dermpack.serving.collection.people import list_people
    from dermpack.serving.collection.store import open_store

    with open_store(data, database) as store:
        people = list_people(store.database)
    lines = [
        f"{person.name}: {person.role}, added {person.added[:10]}"
        + (f", revoked {person.revoked[:10]}" if person.revoked else "")
        for person in people
    ]
    printer.result({"schema": SCHEMA, "people": [asdict(person) for person in people]}, *lines)


@click.command("revoke")
@click.argument("name")
@data
@database
@options.printer
def revoke(name: str, data: Path, database: str | None, printer: Printer) -> None:
    """End the token and the sign-ins of NAME at once; the reviews of this person stay.

    \b
    Example:
      dermpack serve people revoke "Dr. Rivera" --data submissions
    """
    from dermpack.serving.collection.people import revoke_person
    from dermpack.serving.collection.store import open_store

    with open_store(data, database) as store:
        revoke_person(store.database, name)
    printer.result({"schema": SCHEMA, "revoked": name}, f"revoked: {name}")


@click.command("export")
@data
@database
@options.output("FOLDER", "The folder to write.")
@click.option(
    "--format", "form", type=click.Choice(["dermpack", "label-studio"]), default="dermpack",
    show_default=True,
    help='dermpack: a table that "dermpack data import" reads; label-studio: tasks with the model\'s answers '
    "and all reviews.",
)  # fmt: skip
@options.flag("--overwrite", "Replace an earlier export.")
@options.printer
def export(
    data: Path, database: str | None, output: Path, form: str, overwrite: bool, printer: Printer
) -> None:
    """Write the accepted pictures as a folder: files, labels, groups, and how they were collected.

    It names no person and has no split: submissions do not enter a published test split. The same database
    gives the same bytes.

    \b
    Example:
      dermpack serve export --data submissions -o accepted
      dermpack data import accepted -o collected --group group --split 85/15/0
    """
    from dermpack.serving.collection.exporting import ExportFormat, write_export
    from dermpack.serving.collection.store import open_store

    with open_store(data, database) as store:
        summary = write_export(
            store.database, store.pictures, output, form=ExportFormat(form), overwrite=overwrite
        )
    printer.note(f"{count_noun(summary.pictures, 'picture')} in {count_noun(summary.groups, 'group')}")
    if form == "dermpack":
        printer.note(f"next: dermpack data import {output} -o DATASET --group group")
    printer.result({"schema": SCHEMA, "output": str(output), **asdict(summary)}, str(output))


@click.command("check")
@data
@database
@options.flag("--repair", "Delete files without a submission, which a kill can leave.")
@options.printer
def check(data: Path, database: str | None, repair: bool, printer: Printer) -> int:
    """Compare the database with the files: none missing, changed, or left over.

    The exit code is 1 if there is a fault that is not repaired. The server can run meanwhile.

    \b
    Example:
      dermpack serve check --data submissions --repair
    """
    from dermpack.serving.collection.picture_folder import check_collection
    from dermpack.serving.collection.store import open_store

    with open_store(data, database) as store:
        faults = check_collection(store.database, store.pictures, is_repairing=repair)
    for fault in faults[:SHOWN]:
        repaired = " (deleted)" if fault.is_repaired else ""
        printer.unless_json.note(f"{fault.kind}: {fault.file}{repaired}")
    if len(faults) > SHOWN:
        printer.unless_json.note(f"and {len(faults) - SHOWN} more; --json shows all")
    left = sum(not fault.is_repaired for fault in faults)
    record = {"schema": SCHEMA, "faults": [asdict(fault) for fault in faults], "sound": not left}
    printer.result(record, f"{len(faults)} faults, {left} not repaired" if faults else "no fault")
    return 1 if left else 0
