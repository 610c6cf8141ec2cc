"""Questions about neuron graphs, in the SQL of the engine with the series."""

from pathlib import Path

from tracebank_assets.dialects import written_questions

_SQL = Path(__file__).parent / "sql"
_NAMES = ("units_on_a_token_after_another",)


def questions(engine: str) -> dict[str, str]:
    """Texts by what they ask.

    Args:
        engine: of the series store, as its class has it.
    """
    return written_questions(_SQL, _NAMES, engine)
