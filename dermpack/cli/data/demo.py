"""dermpack data demo: generate pictures to try the program with."""

from __future__ import annotations

from pathlib import Path

import click

from dermpack.cli.console import output_options, print_note, print_result, print_table, progress_bar


@click.command("demo")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FOLDER",
    help="The folder to write; it must not exist yet.",
)  # fmt: skip
@click.option(
    "--classes", type=click.Choice(["2", "7"]), default="2", show_default=True,
    help="Number of classes. 2: eczema or not; 7: eczema, psoriasis, nevus, melanoma and others.",
)  # fmt: skip
@click.option("--pictures", metavar="NUMBER", type=int, help="Number of different pictures.  [default: 1000]")
@click.option(
    "--size", metavar="NUMBER", type=int, help="Width and height of the pictures in pixels.  [default: 224]"
)
@click.option(
    "--seed", type=int, default=0, show_default=True,
    help="Seed of the pictures: another seed generates other pictures.",
)  # fmt: skip
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
    """Generate skin-like demo pictures.

    They show no person and have no medical meaning. The folder also contains a table with labels, lesions and
    invented metadata, a few duplicates and three broken files, as real downloads do. The same options give
    the same bytes.

    \b
    Example:
      dermpack data demo -o demo
      dermpack data import demo -o dataset
    """
    from dataclasses import asdict

    from dermpack.synthetic.demo_folder import DEFAULT_PICTURES, DEFAULT_SIZE, render_demo

    rendered = render_demo(
        output,
        classes=int(classes),
        pictures=DEFAULT_PICTURES if pictures is None else pictures,
        size=DEFAULT_SIZE if size is None else size,
        seed=seed,
        overwrite=overwrite,
        track=progress_bar(quiet=quiet),
    )
    print_table("Demo pictures", ("class", "pictures"), rendered.per_class.items(), quiet=quiet)
    counted = f"{rendered.copies} copies, {rendered.near_duplicates} near duplicates"
    print_note(f"{counted} and {rendered.broken} broken files are among them.", quiet=quiet)
    print_result(asdict(rendered), str(output), as_json=as_json)
