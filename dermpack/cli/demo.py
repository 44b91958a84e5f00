"""dermpack demo: a build from generated pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import click

from dermpack.cli.build import run
from dermpack.cli.build.run_steps import open_build
from dermpack.cli.build.steps import BuildStep, StepOptions, build_steps, require_extras
from dermpack.cli.build.summary import SamplePrediction, read_summary, summary_text, write_index
from dermpack.cli.console import output_options, print_result

ANSWERS_FILE = "answers.csv"
BUNDLE_FILE = "skin.zip"
SAMPLE = "pictures/pictures/demo_00000.jpg"
OPTIONS: StepOptions = {
    "train": (
        *("--size", "96", "--alpha", "0.35", "--weights", "none"),
        *("--epochs", "40", "--batch", "32", "--augment", "light"),
    ),
    "convert": ("--max-drop", "3"),  # on 155 pictures, a smaller loss cannot be distinguished from chance
    "benchmark": ("--threads", "1"),
    "package": ("--name", "skin"),
}
NEXT = (
    ("dermpack build PICTURES -o skin", "all steps at once"),
    ("dermpack data import PICTURES -o dataset", "or one by one"),
    ("dermpack data report dataset -o report", ""),
    ("dermpack train dataset -o run", "from ImageNet weights"),
    ("dermpack evaluate run dataset -o evaluation", ""),
    ("dermpack convert run -o export", ""),
    ("dermpack verify export dataset", ""),
    ("dermpack package export -o app.zip", ""),
)


@click.command("demo", short_help="Run a build on generated pictures.")
@click.option(
    "-o", "--output", metavar="FOLDER", type=click.Path(path_type=Path), default=Path("demo"),
    show_default=True, help="The folder for everything that is made: a new one, or that of a demo to resume.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Run every step of an earlier demo again.")
@output_options
def command(*, output: Path, overwrite: bool, as_json: bool, quiet: bool) -> None:
    """Generate pictures and run `dermpack build` on them: a few minutes.

    The pictures are generated: they show no person and have no medical meaning. Each step prints its command
    and shows its progress and tables. After an interruption, rerun the same command to resume.

    \b
    Examples:
      dermpack demo
      dermpack demo -o elsewhere --overwrite
    """
    require_extras()
    steps = demo_steps(output, OPTIONS)
    with open_build(output, overwrite=overwrite) as state:
        state = run(output, steps, state, overwrite=overwrite, quiet=quiet)
        summary = read_summary(output, steps, state, asked=read_prediction(output / ANSWERS_FILE))
        write_index(output, summary, title="Demo", subtitle="Everything was made from generated pictures.")
    print_result(summary.record(), f"{summary_text(summary)}\n\n{next_commands()}", as_json=as_json)


def demo_steps(folder: Path, options: StepOptions) -> tuple[BuildStep, ...]:
    """Return the steps of a build, with one before that generates pictures and one after that predicts."""
    pictures, rendering = folder / "pictures", options.get("pictures", ())
    render = BuildStep(
        name="pictures",
        title="Generating pictures",
        arguments=("data", "demo", "-o", str(pictures), *rendering),
        key=rendering,
        output=pictures,
    )
    answers = folder / ANSWERS_FILE
    predict = BuildStep(
        name="predict",
        title="Predicting one picture",
        arguments=("predict", str(folder / "export"), str(folder / SAMPLE), "--csv", str(answers)),
        key=(),
        table=answers,
    )
    return render, *build_steps(pictures, folder, options, bundle=BUNDLE_FILE), predict


def read_prediction(path: Path) -> SamplePrediction:
    """Return the first row of a table of predictions."""
    with path.open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    label = row["label_1"]
    return SamplePrediction(
        picture=Path(row["picture"]).name,
        label=label,
        probability=float(row["probability_1"]),
        is_sure=row["answer"] == label,
    )


def next_commands() -> str:
    """Return what to run on pictures of one's own."""
    width = max(len(line) for line, _ in NEXT)
    lines = [f"  {line:<{width}}  {what}".rstrip() for line, what in NEXT]
    return "\n".join(["Next, with your own pictures", *lines])
