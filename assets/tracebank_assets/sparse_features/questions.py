"""Questions about sparse features that are asked of both stores at once, in the SQL of the engine with the series."""

from pathlib import Path

from tracebank_assets.dialects import written_questions

_SQL = Path(__file__).parent / "sql"
_NAMES = ("least_matched_reward_features", "features_that_tuning_made")


def questions(engine: str) -> dict[str, str]:
    """Texts by what they ask.

    Args:
        engine: of the series store, as its class has it.
    """
    return written_questions(_SQL, _NAMES, engine)
