"""Build the committed demo pack of composed emoji from openly licensed npm packages.

python -m examples.emoji.build_demo_corpus --packages DIR --output jobs/demo
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from examples.emoji.pack import PACKAGES, build_pack
from examples.emoji.packages import fetch
from mmkrl.errors import UserError

app = typer.Typer(add_completion=False)


@app.command()
def main(
    packages: Annotated[Path, typer.Option(help="folder of npm tarballs; missing ones are added")],
    output: Annotated[Path, typer.Option(help="folder the Parquet shards are written to")],
) -> None:
    """Fetch the missing tarballs, build the pack, and say what it holds."""
    try:
        for package in PACKAGES:
            fetch(package, packages)
        report = build_pack(packages, output)
    except (UserError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{report.rows} rows, {report.size_bytes / 1e6:.2f} MB in {output}")
    for counts in (report.rows_by_source, report.sequences_by_predicate):
        for name, count in counts.items():
            typer.echo(f"  {name:<18} {count:>6}")


if __name__ == "__main__":
    app()
