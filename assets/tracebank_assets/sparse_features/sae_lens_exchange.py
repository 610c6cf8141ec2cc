"""Dictionaries of the catalogue as folders of SAELens, and its folders as dictionaries of the catalogue.

What comes from elsewhere belongs to the study `imported`, which nothing trains; its figures are not measured here.
"""

import dataclasses
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from tracebank.stores.relational import RelationalStore
from tracebank_assets.sparse_features.study_data import content_of_files
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.sparse_autoencoder import SparseAutoencoder

if TYPE_CHECKING:
    from tracebank_models.sparse_autoencoder.architectures import Dictionary

IMPORTED: Final = "imported"
"""Study of the dictionaries that were not trained here."""
_HOOKS: Final = {"resid": "hook_resid_post", "attn": "hook_attn_out", "mlp": "hook_mlp_out"}
"""TransformerLens's name of a block's part, by ours."""
_LOADED: Final = ("pretraining", "loaded")
"""Methods of models that are not tuned here."""


def export_dictionary(relational: RelationalStore, dictionary: str, folder: Path) -> SparseAutoencoder:
    """Write a dictionary of the catalogue as a folder that SAELens loads.

    Args:
        relational: the catalogue.
        dictionary: its name there.
        folder: made if it is not there.

    Raises:
        ValueError: there is none of that name, its files are gone, or SAELens knows nothing like it.
    """
    from tracebank_models.sparse_autoencoder.checkpoint import load_dictionary
    from tracebank_models.sparse_autoencoder.sae_lens_format import export_sae_lens

    with relational.reading() as session:
        row = session.get(SparseAutoencoder, dictionary)
        if row is None:
            raise ValueError(
                f"dictionary: {dictionary!r} is not in relational.sparse_autoencoders; its column dictionary names them"
            )
        session.expunge(row)
    try:
        found = load_dictionary(Path(row.path))
    except FileNotFoundError as error:
        raise ValueError(f"dictionary: {dictionary!r} is in the catalogue, but {error}") from None
    metadata = {"model_name": row.model, "hook_name": _hook_of(row.site), "tracebank_site": row.site}
    export_sae_lens(found, folder, metadata | {"tracebank_dictionary": dictionary})
    return row


def import_dictionary(
    relational: RelationalStore, home: Path, folder: Path, name: str, *, model: str | None, site: str | None
) -> dict[str, object]:
    """Take a folder of SAELens into the catalogue; nothing is written if anything does not fit.

    Args:
        relational: the catalogue.
        home: where its files go.
        folder: with `cfg.json` and `sae_weights.safetensors`.
        name: within the study `imported`.
        model: that it reads, of the catalogue; None takes what the folder says.
        site: that it reads; None takes what the folder says.

    Returns:
        Its row.

    Raises:
        ValueError: the name is taken or no file name, the folder is none of SAELens's or holds what is not computed
            here, or the model is not known or not of that width.
    """
    from tracebank_models.sparse_autoencoder.checkpoint import WEIGHTS, save_dictionary
    from tracebank_models.sparse_autoencoder.sae_lens_format import import_sae_lens

    try:
        dictionary, metadata = import_sae_lens(folder, name)
    except FileNotFoundError as error:
        raise ValueError(str(error)) from None
    known = _model(relational, model or str(metadata.get("model_name") or ""))
    site = site or str(metadata.get("tracebank_site") or _site_of(str(metadata.get("hook_name") or "")))
    layer = _layer(site, known, dictionary.config.d_in)
    side = "base" if known.method in _LOADED else "tuned"
    dictionary.config = dataclasses.replace(dictionary.config, sites=(f"{side}/{site}",))
    row = _row(dictionary, known, home) | {"side": side, "site": site, "layer": layer}
    with relational.session() as session:
        if session.get(SparseAutoencoder, row["dictionary"]) is not None:
            raise ValueError(f"--name: {row['dictionary']!r} is in the catalogue already; choose another")
        files = Path(str(row["path"]))
        save_dictionary(dictionary, files)
        row["weights_hash"] = content_of_files([files / WEIGHTS])
        relational.upsert(session, SparseAutoencoder, [row])
    return row


def _model(relational: RelationalStore, name: str) -> LanguageModel:
    if not name:
        raise ValueError("--model: cfg.json does not say which model it reads; name one of relational.language_models")
    with relational.reading() as session:
        found = session.get(LanguageModel, name)
        if found is None:
            known = ", ".join(session.scalars(select(LanguageModel.model).order_by(LanguageModel.model)))
            raise ValueError(f"--model: {name!r} is not in relational.language_models, which has {known or 'none'}")
        session.expunge(found)
    return found


def _layer(site: str, model: LanguageModel, d_in: int) -> int | None:
    """Number of the site's block; None where its name tells none, as the path of a module."""
    if not site:
        raise ValueError("--site: cfg.json does not say which site it reads; name one, as layers.3.mlp")
    named = re.fullmatch(r"layers\.(\d+)\.\w+", site)
    if named is None:
        return None
    if int(named[1]) >= model.layers:
        raise ValueError(f"--site: {site!r} is none of {model.model!r}, whose last block is {model.layers - 1}")
    if d_in != model.hidden_size:
        raise ValueError(f"d_in = {d_in}: {site} of {model.model!r} has width {model.hidden_size}")
    return int(named[1])


def _row(dictionary: "Dictionary", model: LanguageModel, home: Path) -> dict[str, object]:
    config = dictionary.config
    return {
        "dictionary": f"{IMPORTED}/{config.name}",
        "study": IMPORTED,
        "model": model.model,
        "model_hash": model.weights_hash,
        "size": f"{config.d_sae / config.d_in:g}x",
        "architecture": config.architecture,
        "d_in": config.d_in,
        "d_sae": config.d_sae,
        "seed": 0,
        "init_seed": config.seed,
        "tokens": 0,
        "steps": 0,
        "config": config.as_dict(),
        "path": str(home / "sparse_autoencoders" / IMPORTED / config.name),
        "trained_at": datetime.now(UTC),
    }


def _hook_of(site: str) -> str:
    """TransformerLens's name of a site; a name of another kind stays."""
    layers, _, part = site.rpartition(".")
    return f"{layers.replace('layers.', 'blocks.')}.{_HOOKS[part]}" if part in _HOOKS else site


def _site_of(hook: str) -> str:
    """Our name of a hook of TransformerLens; a name of another kind stays."""
    for part, name in _HOOKS.items():
        if hook.endswith(f".{name}"):
            return f"{hook.removesuffix(name).replace('blocks.', 'layers.')}{part}"
    return hook
