"""dermpack predict: predict the labels of pictures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dermpack.cli import options
from dermpack.cli.console import Printer
from dermpack.progress import silent

if TYPE_CHECKING:
    from dermpack.inference.model_files import OpenedModel
    from dermpack.inference.predict.answers import Answers, PictureOutputs
    from dermpack.inference.predict.picture_search import FoundPictures

RESEARCH_ONLY = "research software, not a medical device: no answer is a diagnosis"
MANY = 20  # pictures; fewer are predicted before a progress bar would be drawn
SHOWN = 8  # labels that are counted by name


@click.command("predict")
@click.argument("model", type=options.PATH, metavar="MODEL.tflite|EXPORT")
@click.argument("names", type=options.PATH, metavar="PICTURE|FOLDER...", nargs=-1, required=True)
@click.option(
    "--top", type=click.IntRange(1, 10_000), default=3, show_default=True,
    help="Number of labels to show for each picture.",
)  # fmt: skip
@options.labels(
    "The labels of the outputs: a file with one per line or a JSON list, or the labels themselves; the "
    "contract is not read then."
)
@options.path(
    "--metadata",
    "FILE.csv",
    "Read the patient metadata of the pictures from a table with the column picture and a column for each "
    "field; cells may be empty.",
)
@click.option(
    "--with",
    "values",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Set a field of the patient metadata for every picture, such as age=34; can be repeated.",
)
@options.path("--csv", "FILE", "Write a table with one row per picture, safe to open in a spreadsheet.")
@options.path("--evidence", "DIR", "Draw where each answer comes from, by the model's own evidence map.")
@options.path("--occlusion", "DIR", "The same by covering parts of the picture: slow, but for any model.")
@options.flag("--overwrite", "Replace an existing table or folder.")
@click.option("--threads", type=click.IntRange(1, 64), help="Number of processors to use.  [default: all]")
@options.printer
def command(
    model: Path,
    names: tuple[Path, ...],
    top: int,
    labels: str | None,
    metadata: Path | None,
    values: tuple[str, ...],
    csv: Path | None,
    evidence: Path | None,
    occlusion: Path | None,
    overwrite: bool,
    threads: int | None,
    printer: Printer,
) -> int:
    """Predict the labels of each PICTURE, and of every picture below each FOLDER.

    Probabilities are calibrated with the temperature of the contract next to the model; below its threshold
    the answer is "not sure". A model of `dermpack convert --familiarity` also answers "too blurred", "too
    dark", "overexposed", or "unlike the pictures this model was trained on". A .tflite without a contract
    requires --labels, unless it contains labels. If a picture cannot be decoded, its error is printed on
    stderr, the others are predicted, and the exit code is 1. A model with patient metadata takes it from
    --metadata or --with; other fields are blank.

    \b
    Examples:
      dermpack predict export picture.jpg
      dermpack predict export pictures --csv answers.csv --top 1
      dermpack predict export pictures --evidence maps
      dermpack predict model.tflite picture.jpg --labels labels.txt --json
      dermpack predict export picture.jpg --with age=34 --with sex=female
    """
    from dermpack.imaging.picture_decoder import PictureDecoder
    from dermpack.inference.interpreter_host import count_hosts, first_installed_runtime, open_host
    from dermpack.inference.predict.picture_search import find_pictures
    from dermpack.storage.files import check_output_file, check_output_folder, write_bytes

    if csv is not None:
        check_output_file(csv, overwrite=overwrite)
    for written in filter(None, (evidence, occlusion)):
        check_output_folder(written, marker="maps.json", overwrite=overwrite)
    found = find_pictures(names)
    count = count_hosts(len(found.pictures), threads=threads)
    with ExitStack() as stack:
        # The processes start during the slow imports; few pictures do not repay the start of several.
        runtime = first_installed_runtime()
        hosts = [stack.enter_context(open_host(runtime, children=2 * count)) for _ in range(count)]
        decoder = stack.enter_context(PictureDecoder(jobs=count))
        decoder.start()
        from dermpack.inference.model_files import open_model
        from dermpack.inference.predict.answer_formats import answers_csv, answers_record, format_answers
        from dermpack.inference.predict.answers import classify_pictures, interpret_outputs
        from dermpack.inference.predict.patient_table import read_patient_rows

        known = open_model(model, given_labels=labels)
        if evidence is not None:
            from dermpack.inference.predict.maps import refuse_missing_evidence

            refuse_missing_evidence(known)
        patients = read_patient_rows(known, found.pictures, table=metadata, values=values)
        ran = None
        if found.pictures:
            track = silent if len(found.pictures) < MANY else printer.track
            ran = classify_pictures(
                known, found.pictures, hosts=hosts, decoder=decoder, metadata=patients.rows, track=track
            )
        answers = interpret_outputs(known, found, ran.rows if ran else (), top=top)
        for folder, kind in ((evidence, "evidence"), (occlusion, "occlusion")):
            if folder is not None:
                from dermpack.inference.predict.maps import write_maps

                write_maps(
                    folder,
                    kind,
                    model=known,
                    answers=answers,
                    pictures=found.pictures,
                    host=hosts[0],
                    decoder=decoder,
                    overwrite=overwrite,
                    track=printer.track,
                )
    if csv is not None:
        # Through a link, so that the link stays and its target is written.
        write_bytes(Path(os.path.realpath(csv)), answers_csv(known, answers))
    if answers.answered or printer.as_json:
        shown = answers_record(known, answers, runtime=ran.runtime if ran else None)
        printer.result(shown, *format_answers(known, answers).split("\n"))
    printer.note(*_notes(known, found, answers, ran, unlisted=patients.unlisted), RESEARCH_ONLY)
    for failure in answers.failures:
        Printer().note(f"error[{failure.error.code}]: {failure.error}")  # also with --quiet
    return 1 if answers.failures else 0


def _notes(
    model: OpenedModel,
    found: FoundPictures,
    answers: Answers,
    ran: PictureOutputs | None,
    *,
    unlisted: int,
) -> Iterator[str]:
    """Yield notes about the answers: how many, what was left out, what is not calibrated."""
    from dermpack.inference.predict.answers import NOT_SURE

    if unlisted:
        yield f"{unlisted} without a row in the table: only --with sets their fields"
    if len(answers.outcomes) > 1:
        counts = _most_frequent(Counter(answer.refusal or answer.first.label for answer in answers.answered))
        failed = [f"{len(answers.failures)} without an answer"] if answers.failures else []
        yield f"{len(answers.outcomes)} in all: {', '.join([*counts, *failed])}"
    if found.left_out:
        yield f"left out, not pictures by their names: {', '.join(_most_frequent(found.left_out))}"
    if ran is None:
        return
    if answers.kind.value == "output":
        yield "the outputs do not add up to 1: they are shown as they are and are not probabilities"
    elif model.temperature is None:
        yield "the temperature is unknown: probabilities are not calibrated"
    if model.abstain_below is None:
        yield f'the threshold is unknown: the model never answers "{NOT_SURE}"'
    if model.size is None and ran.number.value == "float32":
        yield "the input range is unknown without a contract: pixels were scaled to -1 to 1"


def _most_frequent(counts: Counter[str]) -> list[str]:
    """Return the most frequent names and the count of the others: 7 mel, 2 nv, 3 others."""
    most = counts.most_common(SHOWN)
    rest = sum(counts.values()) - sum(count for _, count in most)
    return [*(f"{count} {name}" for name, count in most), *([f"{rest} others"] if rest else [])]
