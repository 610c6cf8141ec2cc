"""Pages of results: what the groups' views say."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from tracebank.explorer.pages import page
from tracebank.explorer.provenance import Shown, shown_by
from tracebank.explorer.state import Missing, explorer
from tracebank.explorer.view_charts import charts_of
from tracebank.explorer.view_tables import table_of, values_of
from tracebank.explorer.views import Answer, View, answer, chosen, found_views, view_named, written

router = APIRouter(include_in_schema=False)

CURVES: Final = "explorer/curves"
"""Asset whose lines are drawn, beside the one whose rows they are of."""
_ACCURATE: Final = 5
"""Digits of what is played back."""


@router.get("/results")
def results(request: Request) -> HTMLResponse:
    """Views of all groups."""
    groups: dict[str, list[View]] = {}
    for view in found_views():
        groups.setdefault(view.group, []).append(view)
    with explorer(request).relational.reading() as session:
        made = {view.asset: shown_by(session, view.asset) for view in found_views()}
    return page(request, "results.html", groups=groups, made=made)


@router.get("/results/{group}")
def group_results(request: Request, group: str) -> HTMLResponse:
    """Views of one group.

    Raises:
        Missing: no such group has any.
    """
    views = [view for view in found_views() if view.group == group]
    if not views:
        view_named(found_views(), group, "")
    with explorer(request).relational.reading() as session:
        made = {view.asset: shown_by(session, view.asset) for view in views}
    return page(request, "results.html", groups={group: views}, made=made)


@router.get("/results/{group}/{name}")
def result(request: Request, group: str, name: str) -> HTMLResponse:
    """What one view says, for what is chosen of its parameters.

    Raises:
        Missing: there is no such view, or what is chosen is not there.
    """
    served = explorer(request)
    view = view_named(found_views(), group, name)
    unknown = sorted(set(request.query_params) - {parameter.name for parameter in view.parameters})
    if unknown:
        known = ", ".join(parameter.name for parameter in view.parameters) or "none"
        raise Missing(f"view {view.name} has no parameter {unknown[0][:100]!r}; it has {known}")
    with served.relational.reading() as session:
        choices = chosen(session, view, request.query_params)
        values = {choice.parameter.name: choice.chosen for choice in choices}
        found = answer(session, view, values)
        made = _made_by(session, view)
    backslashes = served.settings.series.drivername.startswith(("chdb", "clickhouse"))
    return page(
        request,
        "view.html",
        view=view,
        others=[one for one in found_views() if one.group == group],
        choices=choices,
        table=table_of(found),
        is_cut=found.is_cut,
        charts=charts_of(view, found),
        told=_told(found),
        rollout=_rollout(found) if view.chart and view.chart.kind == "rollout" and found.rows else None,
        made=made,
        sql=written(view.sql, values, backslashes),
    )


def _made_by(session: Session, view: View) -> list[Shown]:
    drawn = view.chart is not None and view.chart.kind in ("curves", "rollout")
    return [shown_by(session, asset) for asset in ([view.asset, CURVES] if drawn else [view.asset])]


def _told(found: Answer) -> list[str]:
    """What has to be known of lines, once each."""
    if "told" not in found.columns:
        return []
    place = found.columns.index("told")
    return [str(one) for one in dict.fromkeys(row[place] for row in found.rows) if one]


def _rollout(found: Answer) -> dict[str, Any]:
    """An episode for `playback.js`: its environment, its steps, and every line."""
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    lines = {str(row["line"]): [_rounded(y) for y in values_of(row["ys"])] for row in rows}
    told = str(rows[0]["told"])
    return {"about": told, "json": json.dumps({"told": told, "steps": values_of(rows[0]["xs"]), "lines": lines})}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_ACCURATE}g}")
