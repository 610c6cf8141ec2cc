"""Asset `model_editing/cases`: facts to edit, read from a file, from the Hub, or out of a world of facts."""

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field
from sqlalchemy import select

from tracebank.resources import Stores
from tracebank.stores.relational import RelationalStore
from tracebank_assets.artifacts import artifact
from tracebank_assets.materialised import materialised
from tracebank_assets.model_editing.keys import GROUP
from tracebank_schemas.model_editing import EditCase, RefusedCase

if TYPE_CHECKING:
    from tracebank_models.counterfact.records import EditCase as Case
    from tracebank_models.counterfact.records import ReadCases

_READ = "every_record_is_a_case"
CHECKS = {_READ: "No record was refused; those that were have a row with the reason each."}
_FIELDS = (
    "case_id", "relation", "subject", "prompt", "target_true", "target_new", "neighbor_target", "paraphrases",
    "neighbors", "attributes", "generation_prompts",
)  # fmt: skip


class CasesConfig(dg.Config):
    """Which facts."""

    dataset: str = Field(
        default="world_neox",
        description="A model of a world of facts, whose facts they are; a JSON file of CounterFact's or zsRE's records;"
        " or hf://datasets/OWNER/NAME/PATH.",
    )


@artifact(GROUP, EditCase, RefusedCase, checks=CHECKS, not_empty=True, kinds={"python"})
def cases(context: dg.AssetExecutionContext, config: CasesConfig, stores: Stores) -> dg.MaterializeResult:
    """Facts with what they replace, paraphrases, and prompts about other subjects. Other data sets stand beside."""
    with materialised(context, stores) as made:
        read = _read(config.dataset)
        rows = [
            {"item": case.key(), "dataset": config.dataset, **{name: getattr(case, name) for name in _FIELDS}}
            for case in read.cases
        ]
        made.into(EditCase, EditCase.dataset == config.dataset).write(rows)
        refused = [{"dataset": config.dataset, **row} for row in read.refused.to_dicts()]
        made.into(RefusedCase, RefusedCase.dataset == config.dataset).write(refused)
    told = [row["problem"] for row in refused[:5]]
    check = dg.AssetCheckResult(
        check_name=_READ, passed=not refused, severity=dg.AssetCheckSeverity.WARN, metadata={"refused": told}
    )
    return made.result({"cases": len(rows), "refused": len(refused)}, [check])


def _read(dataset: str) -> "ReadCases":
    from tracebank_models.counterfact.records import checked_cases, read_cases
    from tracebank_models.counterfact.records_file import records_file
    from tracebank_models.counterfact.world import world_records
    from tracebank_models.language_model.recipes import WORLD_RECIPES, world_of

    if dataset in WORLD_RECIPES:
        return checked_cases(world_records(world_of(dataset)))
    return read_cases(records_file(dataset))


def stored_cases(relational: RelationalStore, dataset: str) -> "list[Case]":
    """Cases of a data set, in order of their number.

    Raises:
        dg.Failure: there is none.
    """
    from tracebank_models.checked_settings import converted
    from tracebank_models.counterfact.records import EditCase as Case

    query = select(*(getattr(EditCase, name) for name in _FIELDS)).where(EditCase.dataset == dataset)
    with relational.reading() as session:
        rows = list(session.execute(query.order_by(EditCase.case_id)))
    if not rows:
        raise dg.Failure(f"dataset: {dataset!r} has no cases; materialise model_editing/cases with it first")
    return [converted(dict(row._mapping), Case, "case") for row in rows]
