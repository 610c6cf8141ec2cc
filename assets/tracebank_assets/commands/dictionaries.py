"""`tracebank dictionaries export` and `import`: sparse autoencoders to SAELens and from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracebank_assets.commands.catalogue import catalogue

dictionaries = typer.Typer(
    name="dictionaries",
    help="Sparse autoencoders of the catalogue to SAELens, and from it.",
    no_args_is_help=True,
    suggest_commands=False,
)


@dictionaries.command("export")
def export(
    dictionary: Annotated[str, typer.Argument(help="Its name in relational.sparse_autoencoders.")],
    folder: Annotated[Path, typer.Argument(help="Where to; made if need be.")],
) -> None:
    """Write a dictionary as a folder that SAELens loads with SAE.load_from_disk."""
    from tracebank_assets.sparse_features.sae_lens_exchange import export_dictionary

    with catalogue() as (_, relational):
        row = export_dictionary(relational, dictionary, folder)
    typer.echo(f"{folder}: {row.architecture} of {row.d_sae:,} features, reads {row.site} of {row.model}")


@dictionaries.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="With cfg.json and sae_weights.safetensors.")],
    name: Annotated[str | None, typer.Option(help="What it is called here; else as the folder.")] = None,
    model: Annotated[str | None, typer.Option(help="Model that it reads, of relational.language_models.")] = None,
    site: Annotated[str | None, typer.Option(help="Site that it reads, as layers.3.mlp.")] = None,
) -> None:
    """Take a folder of SAELens into the catalogue, in the study `imported`.

    Model and site are those that cfg.json says, if it says any.
    """
    from tracebank_assets.sparse_features.sae_lens_exchange import import_dictionary

    with catalogue() as (settings, relational):
        row = import_dictionary(
            relational, settings.home, folder, name or folder.resolve().name, model=model, site=site
        )
    typer.echo(
        f"{row['dictionary']}: {row['architecture']} of {row['d_sae']:,} features, reads {row['site']} of"
        f" {row['model']}"
    )
