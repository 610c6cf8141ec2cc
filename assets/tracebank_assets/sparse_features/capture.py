"""Asset `sparse_features/activations`: base and tuned model on every document of a study, shard by shard."""

from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import Field
from sqlalchemy import ColumnElement

from tracebank.progress import advancing, track
from tracebank.resources import Stores
from tracebank_assets.language_models.catalogue import catalogued, load_catalogued, require_one_tokenizer
from tracebank_assets.language_models.keys import BASE, DIVERGENCES, TUNED
from tracebank_assets.materialised import Figure, Materialised
from tracebank_assets.sparse_features import checks
from tracebank_assets.sparse_features.keys import GROUP
from tracebank_assets.sparse_features.study_data import content_of_files, model_of, sites_of
from tracebank_assets.studies import made_of_study, of_study, study_artifact
from tracebank_models.reward_probe.study import CORPUS_SHARDS, SIDES, Study
from tracebank_schemas.activations import ActivationShard
from tracebank_schemas.language_model import Corpus, CorpusDocument

if TYPE_CHECKING:
    from tracebank_models.activations.corpus import TokenCorpus
    from tracebank_models.activations.shard_capture import CaptureSettings
    from tracebank_models.language_model.corpus import Document
    from tracebank_models.language_model.loading import LoadedModel


class CaptureConfig(dg.Config):
    """What is captured, and how."""

    sites: list[str] = Field(
        default_factory=list,
        description="layers.N.mlp, layers.N.attn, layers.N.resid or module paths; empty: MLPs that tuning moved most.",
    )
    dtype: str | None = Field(default=None, description="float16 or float32; empty takes the study's.")
    batch_tokens: int = Field(default=8_192, description="Tokens of a forward pass, padding included.")
    shard_tokens: int = Field(default=65_536, description="Most tokens of a file.")
    memory_mib: int = Field(default=1_024, description="Most memory of the buffers, MiB.")


@study_artifact(
    GROUP,
    ActivationShard,
    Corpus,
    CorpusDocument,
    checks=checks.CAPTURE_CHECKS,
    reads=("data", "documents", "max_tokens", "layers", "dtype"),
    blocking=checks.CAPTURE_CHECKS,
    deps=[BASE, TUNED, DIVERGENCES],
    kinds={"torch", "arrow"},
)
def activations(context: dg.AssetExecutionContext, config: CaptureConfig, stores: Stores) -> dg.MaterializeResult:
    """Activations of base and tuned model at the layers that tuning moved most, as Arrow shards that SQL reaches.

    All sites of a model come out of one forward pass. Shards that are there already are left as they are, so that a
    killed capture goes on at its shard, and studies with one base share the base's.
    """
    from tracebank_models.activations.shard_capture import capture_models

    with made_of_study(context, stores) as (made, study, device):
        base, tuned = (catalogued(stores.relational, model_of(study, side)) for side in SIDES)
        require_one_tokenizer(tuned.model, tuned.tokenizer_hash, base.model, base.tokenizer_hash)
        sites = config.sites or sites_of(stores.relational, study)
        models = [load_catalogued(stores.relational, one.model, device) for one in (base, tuned)]
        documents = [study.captured_documents(shard) for shard in range(CORPUS_SHARDS)]
        corpora = [_corpus(study, models[0], part) for part in documents]
        settings, folder = _settings(study, config), stores.settings.activations
        tokens = sum(corpus.tokens for corpus in corpora)
        with track(f"capturing activations of {study.key}", len(SIDES) * tokens) as advance:
            rows = capture_models(models, corpora, sites, folder, settings, advancing(advance))
        _write(made, study, documents, corpora, rows)
    figures: dict[str, Figure] = {"sites": sites, "corpus_tokens": tokens, "files": sum(map(len, rows))}
    return made.result(figures, checks.capture_checks(zip(corpora, rows, strict=True)))


def _corpus(study: Study, base: "LoadedModel", documents: "list[Document]") -> "TokenCorpus":
    from tracebank_models.activations.corpus import TokenCorpus

    texts = [document.text for document in documents]
    return TokenCorpus.from_texts(texts, base.tokenizer, max_tokens=study.effort.max_tokens)


def _settings(study: Study, config: CaptureConfig) -> "CaptureSettings":
    from tracebank_models.activations.shard_capture import CaptureSettings

    return CaptureSettings(
        config.batch_tokens, config.shard_tokens, config.memory_mib << 20, config.dtype or study.effort.dtype
    )


def _write(
    made: Materialised,
    study: Study,
    documents: "list[list[Document]]",
    corpora: "list[TokenCorpus]",
    rows: list[pl.DataFrame],
) -> None:
    """Tell what lies in the files, and what they are of."""
    known = made.into(Corpus, of_study(study))
    for shard, (part, corpus, captured) in enumerate(zip(documents, corpora, rows, strict=True)):
        known.write([_corpus_row(study, shard, corpus)])
        made.into(CorpusDocument, None).write(_document_rows(corpus, part))
        made.into(ActivationShard, _of_corpus(corpus, captured)).write(captured)
    every = pl.concat(rows)
    made.wrote(int(every["tokens"].sum()), int(every["bytes"].sum()), content_of_files(every["path"]))


def _corpus_row(study: Study, shard: int, corpus: "TokenCorpus") -> dict[str, object]:
    return {
        **of_study(study),
        "corpus_hash": corpus.hash,
        "tokenizer_hash": corpus.tokenizer_hash,
        "shard": shard,
        "documents": corpus.documents,
        "tokens": corpus.tokens,
        "max_tokens": study.effort.max_tokens,
    }


def _document_rows(corpus: "TokenCorpus", documents: "list[Document]") -> list[dict[str, object]]:
    return [
        {
            "corpus_hash": corpus.hash,
            "document": number,
            "document_id": documents[number].document_id,
            "source": documents[number].source,
            "text": documents[number].text,
        }
        for number in corpus.document_ids.tolist()
    ]


def _of_corpus(corpus: "TokenCorpus", rows: pl.DataFrame) -> ColumnElement[bool]:
    """What stands of the same; what was captured in another dtype gives way, since readers want one."""
    return (
        (ActivationShard.corpus_hash == corpus.hash)
        & ActivationShard.model_hash.in_(rows["model_hash"].unique().to_list())
        & ActivationShard.site.in_(rows["site"].unique().to_list())
    )
