"""Asset `sparse_features/activations`: shards of base and tuned model on one part of a study's documents."""

from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.devices import prepared_device
from tracebank_assets.language_models.catalogue import catalogued, load_catalogued, require_one_tokenizer
from tracebank_assets.language_models.keys import DIVERGENCES
from tracebank_assets.materialised import Figure, Materialised, materialised
from tracebank_assets.sparse_features import checks
from tracebank_assets.sparse_features.keys import GROUP
from tracebank_assets.sparse_features.study_data import model_of, sites_of, study_documents
from tracebank_assets.studies import STUDY_BY_SHARD, study_artifact, study_of
from tracebank_models.reward_probe.study import SIDES, Study
from tracebank_schemas.activations import ActivationShard
from tracebank_schemas.language_model import Corpus, CorpusDocument

if TYPE_CHECKING:
    import torch

    from tracebank_models.activations.corpus import TokenCorpus
    from tracebank_models.language_model.corpus import Document


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
    deps=[DIVERGENCES],
    partitions_def=STUDY_BY_SHARD,
    kinds={"torch", "arrow"},
)
def activations(context: dg.AssetExecutionContext, config: CaptureConfig, stores: Stores) -> dg.MaterializeResult:
    """Activations of base and tuned model at the layers that tuning moved most, as Arrow shards that SQL reaches.

    All sites of a model come out of one forward pass. Shards that are there already are left as they are, so that a
    killed capture goes on at its shard, and studies with one base share the base's.
    """
    study, shard = study_of(context), _shard(context)
    base, tuned = (catalogued(stores.relational, model_of(study, side)) for side in SIDES)
    require_one_tokenizer(tuned.model, tuned.tokenizer_hash, base.model, base.tokenizer_hash)
    device = prepared_device(stores.settings, study.effort.threads)
    sites = config.sites or sites_of(stores.relational, study)
    documents = study_documents(study, shard)
    with materialised(context, stores) as made:
        made.device = str(device)
        made.used(DIVERGENCES, study.name, "layers")
        frames = [_captured(stores, config, model_of(study, side), sites, documents, study, device) for side in SIDES]
        corpus = frames[0][0]
        rows = pl.concat(frame for _, frame in frames)
        made.inputs |= dict(rows.select("model", "model_hash").unique().iter_rows())
        _write(made, study, shard, corpus, documents, rows)
        made.wrote(int(rows["tokens"].sum()), int(rows["bytes"].sum()))
    figures: dict[str, Figure] = {"sites": sites, "corpus_tokens": corpus.tokens, "files": rows.height}
    return made.result(figures, checks.capture_checks(corpus, rows))


def _shard(context: dg.AssetExecutionContext) -> int:
    key = context.partition_key
    assert isinstance(key, dg.MultiPartitionKey)
    return int(key.keys_by_dimension["shard"])


def _captured(
    stores: Stores,
    config: CaptureConfig,
    model: str,
    sites: list[str],
    documents: "list[Document]",
    study: Study,
    device: "torch.device",
) -> "tuple[TokenCorpus, pl.DataFrame]":
    from tracebank_models.activations.corpus import TokenCorpus
    from tracebank_models.activations.shard_capture import CaptureSettings, capture_shards

    loaded = load_catalogued(stores.relational, model, device)
    texts = [document.text for document in documents]
    corpus = TokenCorpus.from_texts(texts, loaded.tokenizer, max_tokens=study.effort.max_tokens)
    settings = CaptureSettings(
        config.batch_tokens, config.shard_tokens, config.memory_mib << 20, config.dtype or study.effort.dtype
    )
    done = 0
    with track(f"capturing {model}", corpus.tokens) as advance:

        def tell(tokens: int, _all: int) -> None:
            nonlocal done
            advance(tokens - done)
            done = tokens

        frame = capture_shards(
            loaded.model,
            corpus,
            sites,
            stores.settings.activations,
            model_hash=loaded.facts.weights_hash,
            settings=settings,
            expected_tokenizer=loaded.facts.tokenizer_hash,
            progress=tell,
        )
    return corpus, frame.with_columns(model=pl.lit(model))


def _write(
    made: Materialised, study: Study, shard: int, corpus: "TokenCorpus", documents: "list[Document]", rows: pl.DataFrame
) -> None:
    head = {
        "corpus_hash": corpus.hash,
        "tokenizer_hash": corpus.tokenizer_hash,
        "study": study.name,
        "shard": shard,
        "documents": corpus.documents,
        "tokens": corpus.tokens,
        "max_tokens": study.effort.max_tokens,
    }
    texts = [
        {
            "corpus_hash": corpus.hash,
            "document": number,
            "document_id": documents[number].document_id,
            "source": documents[number].source,
            "text": documents[number].text,
        }
        for number in corpus.document_ids.tolist()
    ]
    made.into(Corpus, {"study": study.name, "shard": shard}).write([head])
    made.into(CorpusDocument, None).write(texts)
    # What was captured in another dtype gives way: readers want one.
    same = (
        (ActivationShard.corpus_hash == corpus.hash)
        & ActivationShard.model_hash.in_(rows["model_hash"].unique().to_list())
        & ActivationShard.site.in_(rows["site"].unique().to_list())
    )
    made.into(ActivationShard, same).write(rows)
