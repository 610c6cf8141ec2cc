"""The SQL of the assets and the demo, written once in ClickHouse's words and put into those of the engine that is used.

sqlglot puts it; here stands only what it does not know of ClickHouse, or of how an engine's tables differ. A text is
kept to words that it does know (CASE, FILTER, lag), and a new text runs on every engine in the tests.
"""

from collections.abc import Callable
from pathlib import Path

from sqlglot import exp, parse_one


def query_text(file: Path, engine: str) -> str:
    """A written query in an engine's SQL; parameters as the engine's store takes them.

    Args:
        file: the query in ClickHouse's SQL, parameters as `{name:Type}`.
        engine: of the series store, as its class has it.
    """
    text = file.read_text(encoding="utf-8")
    if engine == "clickhouse":
        return text
    dialect, changes = _DIALECTS[engine]
    tree = parse_one(text, read="clickhouse")
    for change in changes:
        tree = tree.transform(change)
    return tree.sql(dialect, pretty=True, comments=False)


def written_questions(folder: Path, names: tuple[str, ...], engine: str) -> dict[str, str]:
    """Texts by what they ask, which is the first line of each file.

    Args:
        folder: holds `questions/<name>.sql`.
        names: of the questions.
        engine: of the series store, as its class has it.
    """
    found = {}
    for name in names:
        file = folder / "questions" / f"{name}.sql"
        head, _, query = file.read_text(encoding="utf-8").partition("\n")
        found[head.removeprefix("-- ")] = (query if engine == "clickhouse" else query_text(file, engine)).strip()
    return found


def _moments_of_duckdb(node: exp.Expression) -> exp.Expression:
    if not _is_moment(node):
        return node
    return exp.Anonymous(this="make_timestamp_ns", expressions=node.expressions[:1])


def _quantiles_of_duckdb(node: exp.Expression) -> exp.Expression:
    if not _is_quantile(node):
        return node
    return exp.Anonymous(this="quantile_cont", expressions=[*node.args["params"], *node.expressions])


def _moments_of_postgresql(node: exp.Expression) -> exp.Expression:
    if not _is_moment(node):
        return node
    seconds = exp.Div(this=node.expressions[0], expression=exp.Literal.number(1_000_000_000), typed=True)
    return exp.Anonymous(this="to_timestamp", expressions=[seconds])


def _exact_moments_of_postgresql(node: exp.Expression) -> exp.Expression:
    """`ts` is kept to the microsecond, `ts_ns` beside it is exact; but the index is on `ts`."""
    if isinstance(node, exp.Column) and node.name == "ts" and not node.find_ancestor(exp.Where, exp.DateTrunc):
        return exp.column("ts_ns", table=node.table or None)
    return node


def _first_and_last_of_postgresql(node: exp.Expression) -> exp.Expression:
    if not isinstance(node, exp.ArgMin | exp.ArgMax):
        return node
    keys = [exp.Ordered(this=key, desc=isinstance(node, exp.ArgMax)) for key in node.expression.expressions]
    ordered = exp.ArrayAgg(this=exp.Order(this=node.this, expressions=keys))
    return exp.Bracket(this=exp.paren(ordered), expressions=[exp.Literal.number(1)], offset=1)


def _rounding_of_postgresql(node: exp.Expression) -> exp.Expression:
    """Only decimals are rounded to places there."""
    if not isinstance(node, exp.Round):
        return node
    return exp.cast(exp.Round(this=exp.cast(node.this, "decimal"), decimals=node.args["decimals"]), "double")


def _quantiles_of_postgresql(node: exp.Expression) -> exp.Expression:
    if not _is_quantile(node):
        return node
    [value], [share] = node.args["params"], node.expressions
    order = exp.Order(expressions=[exp.Ordered(this=value)])
    return exp.WithinGroup(this=exp.PercentileCont(this=share), expression=order)


def _is_moment(node: exp.Expression) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "fromunixtimestamp64nano"


def _is_quantile(node: exp.Expression) -> bool:
    return isinstance(node, exp.ParameterizedAgg) and node.name.lower() == "quantileexactinclusive"


_POSTGRESQL = (
    _moments_of_postgresql,
    _exact_moments_of_postgresql,
    _first_and_last_of_postgresql,
    _rounding_of_postgresql,
    _quantiles_of_postgresql,
)
_DIALECTS: dict[str, tuple[str, tuple[Callable[[exp.Expression], exp.Expression], ...]]] = {
    "duckdb": ("duckdb", (_moments_of_duckdb, _quantiles_of_duckdb)),
    "postgresql": ("postgres", _POSTGRESQL),
    "timescaledb": ("postgres", _POSTGRESQL),
}
"""By engine: sqlglot's name of its SQL, and what is changed in order before sqlglot writes it."""
