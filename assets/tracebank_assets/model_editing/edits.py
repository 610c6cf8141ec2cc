"""Asset `model_editing/edits`: facts edited into a model by one editor, and what else moved, every prompt kept."""

import re
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.code_version import code_version
from tracebank_assets.devices import prepared_device, threads_for
from tracebank_assets.evaluation import EvalRows, eval_run, of_model
from tracebank_assets.language_models.catalogue import catalogued, load_catalogued
from tracebank_assets.language_models.keys import NAMED
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.model_editing.cases import stored_cases
from tracebank_assets.model_editing.keys import CASES, EVALUATION, GROUP, LAYERS
from tracebank_assets.model_editing.layers import moments_file, stored_choice, unseen
from tracebank_assets.studies import on_gpu
from tracebank_schemas.evaluation import EvalRun, EvalSample, EvalSummary
from tracebank_schemas.model_editing import Edit, EditScore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebank_models.counterfact.edit_setup import EditSetup
    from tracebank_models.counterfact.records import EditCase as Case
    from tracebank_models.counterfact.runs import FinishedRows

EDITS: Final = dg.DynamicPartitionsDefinition(name="edits")
"""A partition for each model and editor that somebody asked for: `world_neox/rome`."""
_KEY: Final = re.compile(r"(?P<model>.+)/(?P<editor>\w+)")
_WRITES: Final = "most_facts_are_written"
_FINITE: Final = "scores_are_numbers"
CHECKS: Final = {
    _WRITES: "ES after the edit is above that of the unedited model, and its interval too.",
    _FINITE: "No edit left the model without a finite score.",
}


class EditsConfig(dg.Config):
    """Which facts are edited, and how."""

    dataset: str = Field(default="", description="Cases; empty: those of the model's own world.")
    count: int = Field(default=200, ge=1, description="First so many cases; none that chose the layer.")
    sequential: bool = Field(default=False, description="One after another into the same model; else each by itself.")
    radius: float | None = Field(default=None, gt=0, description="Of FT-L: most that an entry may move.")
    seed: int = Field(default=0, ge=0, description="Of the texts before prompts.")


@artifact(
    GROUP,
    Edit,
    EditScore,
    EvalRun,
    EvalSample,
    EvalSummary,
    checks=CHECKS,
    not_empty=True,
    deps=[
        dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping()) if key != CASES else dg.AssetDep(key)
        for key in (NAMED, LAYERS, CASES)
    ],
    partitions_def=EDITS,
    **on_gpu(),
    kinds={"torch"},
)
def edits(context: dg.AssetExecutionContext, config: EditsConfig, stores: Stores) -> dg.MaterializeResult:
    """Edits of a partition's model by its editor, scored before and after; rows stand as they come, none is made twice.

    Single edits leave the weights as they were, which hashes prove.
    """
    from tracebank_models.counterfact.runs import sequential_edits, single_edits

    model, editor = _named(context.partition_key)
    row = catalogued(stores.relational, model)
    device = prepared_device(stores.settings, threads_for(row.parameters))
    with materialised(context, stores) as made:
        made.device = str(device)
        settings = config.model_dump(exclude={"count"} if not config.sequential else set()) | {
            "dataset": config.dataset or model
        }
        setup, cases = _setup(stores, model, editor, config, str(device))
        how = {**settings, **_settings_of(setup)}
        version = code_version(sequential_edits if config.sequential else single_edits)
        with eval_run(made, stores.relational, of_model(row, EVALUATION, version, how, editor)) as run:
            items = {case.case_id: case for case in cases}
            numbers = {case.key(): case.case_id for case in cases}
            done = {
                (numbers[item], moment) for item, moment in run.done(EditScore, "item", "moment") if item in numbers
            }
            with track(f"{editor} on {model}", len(cases)) as advance:
                found: Iterator[FinishedRows] = (
                    sequential_edits(setup, cases, done)
                    if config.sequential
                    else single_edits(setup, cases, {case for case, moment in done if moment == "after_edit"})
                )
                for rows in found:
                    _keep(run, rows, items)
                    advance(rows.edits.height)
            run.finish(_summary(run, items))
    return made.result(_figures(run), _results(run))


def _named(key: str) -> tuple[str, str]:
    from tracebank_models.model_editing.editors import EDITORS

    found = _KEY.fullmatch(key)
    if found is None or found["editor"] not in EDITORS:
        raise dg.Failure(f"edits: {key!r} is not allowed: MODEL/EDITOR, EDITOR one of {', '.join(EDITORS)}")
    return found["model"], found["editor"]


def _setup(stores: Stores, model: str, editor: str, config: EditsConfig, device: str) -> "tuple[EditSetup, list[Case]]":
    """Model, editor and cases.

    Raises:
        dg.Failure: see `stored_cases`, `stored_choice` and `load_catalogued`; or no case can be edited.
        ValueError: see `EditSetup.check`.
    """
    import torch

    from tracebank_models.counterfact.edit_setup import EditSetup, fitted_editor
    from tracebank_models.counterfact.usable_cases import usable_cases
    from tracebank_models.model_editing.second_moments import SecondMoments

    stored = stored_cases(stores.relational, config.dataset or model)
    choice = stored_choice(stores.relational, model)
    cases = unseen(stored, choice)[: config.count]
    loaded = load_catalogued(stores.relational, model, torch.device(device))
    usable = usable_cases(loaded.model, loaded.tokenizer, cases)
    if not usable.cases:
        raise dg.Failure(f"cases: none of {len(cases)} can be edited into {model!r}: {usable.refused['problem'][0]}")
    made = fitted_editor(editor, loaded.model, model, choice.layer, config.radius)
    moments = SecondMoments.load(moments_file(stores.settings.home, model)) if made.needs_moments else None
    prefixes = made.prefixes(loaded.model, loaded.tokenizer, config.seed)
    setup = EditSetup(loaded.model, loaded.tokenizer, made, moments, prefixes, choice)
    setup.check()  # before the run has a row
    return setup, usable.cases


def _settings_of(setup: "EditSetup") -> dict[str, Any]:
    from dataclasses import asdict

    moments = setup.moments.corpus_hash if setup.moments else ""
    return {"editor": asdict(setup.editor.settings), "moments_of": moments}


def _keep(run: EvalRows, rows: "FinishedRows", cases: "dict[int, Case]") -> None:
    """Store rows that belong together, with what runs are compared by."""
    from tracebank_models.counterfact.summary import case_values

    items = {number: case.key() for number, case in cases.items()}
    edited = _keyed(rows.edits, items).with_columns(pl.col("key_product", "residual", "value_loss").fill_nan(None))
    scores = _keyed(rows.scores, items)
    values = _keyed(case_values(rows.scores), items).with_columns(
        metric=pl.format("{}/{}", "moment", "metric"),
        cluster=pl.col("case_id").replace_strict({number: case.subject[:64] for number, case in cases.items()}),
    )
    run.keep([(Edit, edited), (EditScore, scores), (EvalSample, values)])


def _keyed(frame: pl.DataFrame, items: dict[int, str]) -> pl.DataFrame:
    return frame.with_columns(item=pl.col("case_id").replace_strict(items, return_dtype=pl.String))


def stored_scores(run: EvalRows, numbers: dict[str, int]) -> pl.DataFrame:
    """Scores of a run with the numbers of their cases."""
    from tracebank_models.counterfact.metrics import SCORES_SCHEMA

    rows = run.rows(EditScore).filter(pl.col("item").is_in(list(numbers)))
    numbered = rows.with_columns(case_id=pl.col("item").replace_strict(numbers, return_dtype=pl.Int64))
    return numbered.select(pl.col(name).cast(kind) for name, kind in SCORES_SCHEMA.items())


def _summary(run: EvalRows, cases: "dict[int, Case]") -> pl.DataFrame:
    from tracebank_models.counterfact.summary import summarise

    found = summarise(stored_scores(run, {case.key(): number for number, case in cases.items()}))
    names = {"moment": "part", "mean": "value", "cases": "clusters", "prompts": "items"}
    return found.rename(names).drop("bootstrap_error")


def _figures(run: EvalRows) -> dict[str, Figure]:
    after = run.rows(EvalSummary).filter(part="after_edit").drop_nulls("value")
    shown = after.filter(pl.col("metric").is_in(["ES", "PS", "NS", "NS+", "NKL", "NKL+", "efficacy_generated"]))
    return {metric: round(value, 4) for metric, value in shown.select("metric", "value").iter_rows()}


def _results(run: EvalRows) -> list[dg.AssetCheckResult]:
    summary = run.rows(EvalSummary).filter(part="after_edit")
    efficacy = summary.filter(metric="ES")
    change = efficacy.row(0, named=True) if efficacy.height else None
    undefined = int(summary["undefined"].sum() or 0)
    return [
        dg.AssetCheckResult(
            check_name=_WRITES,
            passed=bool(change and change["change_low"] is not None and change["change_low"] > 0),
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                name: change[name]
                for name in ("value", "unedited", "change_low")
                if change and change[name] is not None
            },
        ),
        dg.AssetCheckResult(
            check_name=_FINITE,
            passed=undefined == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"undefined": undefined},
        ),
    ]
