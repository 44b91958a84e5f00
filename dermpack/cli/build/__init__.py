"""dermpack build: from a folder of pictures to a verified bundle; dermpack demo: from generated pictures."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import click

from dermpack.cli import options
from dermpack.cli.build.run_steps import STATE_FILE, open_build, run_build
from dermpack.cli.build.steps import (
    WEB_FILE,
    WEB_STEP,
    BuildStep,
    StepOptions,
    available_steps,
    build_steps,
    check_steps,
    read_step_options,
    require_extras,
)
from dermpack.cli.build.summary import SamplePrediction, read_summary, summary_lines, write_index
from dermpack.cli.console import Printer
from dermpack.storage.files import unescape_cell

ANSWERS_FILE = "answers.csv"
DEMO_BUNDLE = "skin.zip"
RENDER = {"pictures": ("Generating pictures", "data demo", "-o pictures OPTIONS")}
SAMPLE = "pictures/pictures/demo_00000.jpg"
PREDICT = {"predict": ("Predicting one picture", "predict", f"export {SAMPLE} --csv {ANSWERS_FILE}")}
DEMO_OPTIONS: StepOptions = {
    # Without fine-tuning: the demo takes a minute on two processors, and most of it is not training.
    "train": (
        *("--size", "96", "--weights", "bundled", "--epochs", "0", "--head-epochs", "3"),
        *("--batch", "32", "--augment", "light"),
    ),
    "convert": ("--max-drop", "3"),  # on 155 pictures, a smaller loss cannot be distinguished from chance
    "benchmark": ("--threads", "1"),
    "package": ("--name", "skin"),
}
NEXT_COMMANDS = (
    ("dermpack build PICTURES -o skin", "all steps at once"),
    ("dermpack data import PICTURES -o dataset", "or one by one"),
    ("dermpack data report dataset -o report", ""),
    ("dermpack train dataset -o run", "from ImageNet weights"),
    ("dermpack convert run -o export", ""),
    ("dermpack evaluate export dataset -o evaluation", ""),
    ("dermpack verify export dataset", ""),
    ("dermpack package export -o app.zip", ""),
)


@click.command("build")
@click.argument("pictures", type=options.PATH)
@options.output("OUT", "The folder for everything that is made: a new one, or that of a build to resume.")
@click.option(
    "--config", metavar="FILE.toml", type=options.EXISTING_FILE,
    help="Options of the steps: tables [import], [check], [report], [train], [convert], [evaluate], "
    "[verify], [benchmark] and [package], whose keys are the long names of the options.",
)  # fmt: skip
@options.flag("--overwrite", "Run every step of an earlier build again.")
@options.printer
def command(pictures: Path, output: Path, config: Path | None, overwrite: bool, printer: Printer) -> None:
    """Import PICTURES, train a network on them, convert it to int8 and package it for an app.

    The steps are: import the pictures, check the dataset, write the dataset report, train, convert, evaluate,
    verify, benchmark, package. Each one prints its command and shows its progress. After an interruption or
    an error, rerun the same command: finished steps are skipped, except the two checks, data check and
    verify, which are repeated; an unfinished training resumes. If the options of a step change, that step and
    the following ones run again. OUT/index.html states the result with its warnings, and links every report.
    If LiteRT.js is in the cache folder (see: dermpack package --format web), a last step writes OUT/web.zip,
    a web site that runs the model in the browser.

    Training starts from ImageNet weights that are installed with dermpack, so a build needs no network
    connection.

    \b
    Examples:
      dermpack build pictures -o skin
      dermpack build pictures -o skin --config build.toml
      dermpack build HAM10000 -o lesions --overwrite --json

    \b
    A build.toml:
      [import]
      split = "80/10/10"
      [train]
      epochs = 20
      [convert]
      max-drop = 2
      [package]
      name = "skin"
    """
    require_extras()
    given = read_step_options(config) if config else {}
    steps = build_steps(pictures, output, given, steps=available_steps())
    if config is not None:
        check_steps(steps, config)
    check_pictures(pictures, output)
    with open_build(output, overwrite=overwrite) as state:
        state = run_build(output, steps, state, overwrite=overwrite, printer=printer)
        summary = read_summary(output, steps, state)
        subtitle = f"From {pictures.resolve().name} to {summary.bundle.name}"
        write_index(output, summary, title="Build", subtitle=subtitle)
    printer.note(*missing_web_step(steps))
    printer.result(summary.record(), *summary_lines(summary))


def check_pictures(pictures: Path, output: Path) -> None:
    """Raise InputError, before the output is created, if it is inside the pictures or these do not exist."""
    from trainer.datasets.importer import require_output_outside
    from trainer.datasets.layouts.read_source import check_source

    if not (output / STATE_FILE).is_file():  # a build that is resumed may have copied the pictures
        check_source(pictures)
    require_output_outside(pictures, output)


@click.command("demo")
@click.option(
    "-o", "--output", metavar="FOLDER", type=options.PATH, default=Path("demo"), show_default=True,
    help="The folder for everything that is made: a new one, or that of a demo to resume.",
)  # fmt: skip
@options.flag("--overwrite", "Run every step of an earlier demo again.")
@options.printer
def demo(output: Path, overwrite: bool, printer: Printer) -> None:
    """Generate pictures and run `dermpack build` on them: about a minute on two processors.

    The pictures are generated: they show no person and have no medical meaning. Training starts from the
    weights that are part of dermpack, so no network is needed. Each step prints its command and shows its
    progress and tables. After an interruption, rerun the same command to resume.

    \b
    Examples:
      dermpack demo
      dermpack demo -o elsewhere --overwrite
    """
    require_extras()
    steps = demo_steps(output, DEMO_OPTIONS)
    with open_build(output, overwrite=overwrite) as state:
        state = run_build(output, steps, state, overwrite=overwrite, printer=printer)
        summary = read_summary(output, steps, state, asked=read_prediction(output / ANSWERS_FILE))
        write_index(output, summary, title="Demo", subtitle="Everything was made from generated pictures.")
    printer.note(*missing_web_step(steps))
    printer.result(summary.record(), *summary_lines(summary), "", *next_commands())


def demo_steps(folder: Path, options: StepOptions) -> tuple[BuildStep, ...]:
    """Return the steps of a build, with one before that generates pictures and one after that predicts."""
    steps = {**RENDER, **available_steps(), **PREDICT}
    return build_steps(folder / "pictures", folder, options, bundle=DEMO_BUNDLE, steps=steps)


def missing_web_step(steps: Sequence[BuildStep]) -> list[str]:
    """Return the line that explains how to get the web page, if its step is missing."""
    from dermpack.bundle.web.runtime import npm_command, read_lock

    if any(step.name in WEB_STEP for step in steps):
        return []
    lock = read_lock()
    command = npm_command(lock)
    return [f"no {WEB_FILE}, because {lock.title} is missing: run {command} and then the same command again"]


def read_prediction(path: Path) -> SamplePrediction:
    """Return the first row of a table of predictions."""
    with path.open(newline="", encoding="utf-8") as file:
        row = {name: unescape_cell(cell) for name, cell in next(csv.DictReader(file)).items()}
    label = row["label_1"]
    return SamplePrediction(
        picture=Path(row["picture"]).name,
        label=label,
        probability=float(row["probability_1"]),
        is_sure=row["answer"] == label,
    )


def next_commands() -> list[str]:
    """Return what to run on pictures of one's own."""
    width = max(len(line) for line, _ in NEXT_COMMANDS)
    lines = [f"  {line:<{width}}  {what}".rstrip() for line, what in NEXT_COMMANDS]
    return ["Next, with your own pictures", *lines]
