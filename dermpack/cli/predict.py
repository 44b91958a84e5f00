"""dermpack predict."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dermpack.cli.console import note, output_options, result, track

if TYPE_CHECKING:
    from dermpack.inference import InterpreterHost
    from dermpack.inference.predict import Answers, FoundPictures, OpenedModel, PictureOutputs

RESEARCH_ONLY = "research software, not a medical device: nothing here is a diagnosis"
MANY = 20  # pictures: fewer are answered before a bar is drawn
SHOWN = 8  # labels that are counted by name


@click.command("predict", short_help="Say what a .tflite takes pictures for, and how sure it is.")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL.tflite|EXPORT")
@click.argument(
    "names", type=click.Path(path_type=Path), metavar="PICTURE|FOLDER...", nargs=-1, required=True
)
@click.option(
    "--top", type=click.IntRange(1, 10_000), default=3, show_default=True, help="So many labels a picture."
)
@click.option(
    "--labels",
    "labels_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Labels of the outputs, one a line or a JSON list; then no contract is read.",
)
@click.option(
    "--csv",
    "table_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write one row a picture, safe to open in a spreadsheet.",
)
@click.option("--overwrite", is_flag=True, help="Replace a table that is there.")
@click.option(
    "--threads", type=click.IntRange(1, 64), default=None, help="Processors to use.  [default: all]"
)
@output_options
def command(
    model: Path,
    names: tuple[Path, ...],
    top: int,
    labels_file: Path | None,
    table_file: Path | None,
    overwrite: bool,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Show each PICTURE, and every picture below each FOLDER, to a MODEL.tflite or the one in an EXPORT.

    Probabilities are calibrated as the contract beside the model says; below its threshold the answer is "not
    sure". A .tflite without a contract needs --labels, unless labels are inside it. A picture that cannot be
    decoded is a line on stderr while the others go on, and exit code 1 at the end.

    \b
    Examples:
      dermpack predict export picture.jpg
      dermpack predict export pictures --csv answers.csv --top 1
      dermpack predict model.tflite picture.jpg --labels labels.txt --json
    """
    from dermpack.inference import first_installed, open_host
    from dermpack.storage.files import refuse_file, write_bytes

    if table_file is not None:
        refuse_file(table_file, overwrite=overwrite)
    with open_host(first_installed()) as host:  # first, before what takes long to import
        from dermpack.inference.predict import (
            answers_of,
            find_pictures,
            open_model,
            record,
            table_bytes,
            text,
        )

        found, known = find_pictures(names), open_model(model, labels_file=labels_file)
        ran = _run(known, found, host, threads=threads, quiet=quiet) if found.pictures else None
    answers = answers_of(known, found, ran.rows if ran else (), top=top)
    if table_file is not None:
        write_bytes(Path(os.path.realpath(table_file)), table_bytes(known, answers))
    if answers.answered or as_json:
        told = record(known, answers, runtime=ran.runtime if ran else None)
        result(told, text(known, answers), as_json=as_json)
    for line in (*_remarks(known, found, answers, ran), RESEARCH_ONLY):
        note(line, quiet=quiet)
    for failure in answers.failures:
        note(f"error: {failure.error}", quiet=False)
    return 1 if answers.failures else 0


def _run(
    model: OpenedModel, found: FoundPictures, host: InterpreterHost, *, threads: int | None, quiet: bool
) -> PictureOutputs:
    from dermpack.inference import open_host
    from dermpack.inference.predict import hosts_for, run

    count = len(found.pictures)
    more = hosts_for(count, threads=threads) - 1
    with ExitStack() as stack:
        hosts = [host, *(stack.enter_context(open_host(host.engine)) for _ in range(more))]
        return run(model, found.pictures, hosts=hosts, track=track(quiet=quiet or count < MANY))


def _remarks(
    model: OpenedModel, found: FoundPictures, answers: Answers, ran: PictureOutputs | None
) -> Iterator[str]:
    """What a person should know beside the answers."""
    from dermpack.inference.predict import NOT_SURE

    if len(answers.outcomes) > 1:
        yield _counted(answers)
    if found.left_out:
        yield f"left out, no pictures by their names: {', '.join(_most(found.left_out))}"
    if ran is None:
        return
    if answers.kind.value == "output":
        yield "the outputs do not add up to 1: they are shown as they are, and are no probabilities"
    elif model.temperature is None:
        yield "no temperature is known: probabilities are as the model gives them"
    if model.abstain_below is None:
        yield f'no threshold is known below which to be unsure: no answer is "{NOT_SURE}"'
    if model.size is None and ran.number.value == "float32":
        yield "no contract says what to feed: pixels were fed as -1 to 1"


def _counted(answers: Answers) -> str:
    from dermpack.inference.predict import NOT_SURE

    counts = Counter(of.label or NOT_SURE for of in answers.answered)
    failed = [f"{len(answers.failures)} without an answer"] if answers.failures else []
    return f"{len(answers.outcomes)} in all: {', '.join([*_most(counts), *failed])}"


def _most(counts: Counter[str]) -> list[str]:
    """The most frequent, and how many there are of the others: 7 mel, 2 nv."""
    most = counts.most_common(SHOWN)
    rest = sum(counts.values()) - sum(count for _, count in most)
    return [*(f"{count} {name}" for name, count in most), *([f"{rest} of others"] if rest else [])]
