"""dermpack data demo: generated pictures to try the program on."""

from __future__ import annotations

from pathlib import Path

import click

from dermpack.cli.console import note, output_options, result, table, track


@click.command("demo")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="The folder to write; it must not exist.",
)
@click.option(
    "--classes",
    type=click.Choice(["2", "7"]),
    default="2",
    show_default=True,
    help="2: eczema or not. 7: eczema, psoriasis, nevus, melanoma and others.",
)
@click.option("--pictures", metavar="NUMBER", type=int, help="How many different pictures.  [default: 1000]")
@click.option("--size", metavar="NUMBER", type=int, help="Their width and height in pixels.  [default: 224]")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other pictures.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier folder of demo pictures.")
@output_options
def command(
    *,
    output: Path,
    classes: str,
    pictures: int | None,
    size: int | None,
    seed: int,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Render skin-like demo pictures.

    They are generated: they show no person and mean nothing medically. With them come a table of
    labels, lesions and made-up metadata, a few duplicates, and three broken files, as real downloads
    have them. The same options give the same bytes.

    \b
    Example:
      dermpack data demo -o demo
      dermpack data import demo -o dataset
    """
    from dataclasses import asdict

    from dermpack.synthetic.folder import DEFAULT_PICTURES, DEFAULT_SIZE, render_demo

    rendered = render_demo(
        output,
        classes=int(classes),
        pictures=DEFAULT_PICTURES if pictures is None else pictures,
        size=DEFAULT_SIZE if size is None else size,
        seed=seed,
        overwrite=overwrite,
        track=track(quiet=quiet),
    )
    table("Demo pictures", ("class", "pictures"), rendered.per_class.items(), quiet=quiet)
    twice = f"{rendered.copies} copies, {rendered.near_duplicates} near duplicates"
    note(f"{twice} and {rendered.broken} broken files are among them.", quiet=quiet)
    result(asdict(rendered), str(output), as_json=as_json)
