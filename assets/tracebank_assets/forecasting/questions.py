"""Questions about forecasts and earnings, in the SQL of the engine with the series."""

from pathlib import Path

from tracebank_assets.dialects import written_questions

_SQL = Path(__file__).parent / "sql"
_NAMES = ("earned_by_signals",)


def questions(engine: str) -> dict[str, str]:
    """Texts by what they ask.

    Args:
        engine: of the series store, as its class has it.
    """
    return written_questions(_SQL, _NAMES, engine)
