"""Build the emoji knowledge graph with its pictures from openly licensed npm packages.

python -m examples.emoji.build_emoji_graph --packages DIR --output data/emoji_graph
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from examples.emoji.graph import PACKAGES, build_graph
from examples.emoji.packages import fetch
from mmkrl.errors import UserError

app = typer.Typer(add_completion=False)


@app.command()
def main(
    packages: Annotated[Path, typer.Option(help="folder of npm tarballs; missing ones are added")],
    output: Annotated[Path, typer.Option(help="folder for triples/ and pictures/")],
) -> None:
    """Fetch the missing tarballs, build the graph, and say what it holds."""
    try:
        for package in PACKAGES:
            fetch(package, packages)
        report = build_graph(packages, output)
    except (UserError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"{report.entities} entities, {report.entities_with_pictures} of them with "
        f"{report.pictures} pictures in {output}"
    )
    for counts in (report.triples_by_split, report.triples_by_relation):
        for name, count in counts.items():
            typer.echo(f"  {name:<18} {count:>6}")


if __name__ == "__main__":
    app()
