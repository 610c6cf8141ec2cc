"""Questions about sparse features that are asked of both stores at once, in the SQL of the engine with the series."""

from pathlib import Path

from tracebank_assets.market.questions import dialect

_SQL = Path(__file__).parent / "sql"
_NAMES = ("unmatched_reward_features",)


def questions(engine: str) -> dict[str, str]:
    """Texts by what they ask, which is the first line of each file.

    Args:
        engine: of the series store, as its class has it.
    """
    found = {}
    for name in _NAMES:
        text = (_SQL / dialect(engine) / "questions" / f"{name}.sql").read_text(encoding="utf-8")
        head, _, query = text.partition("\n")
        found[head.removeprefix("-- ")] = query.strip()
    return found
