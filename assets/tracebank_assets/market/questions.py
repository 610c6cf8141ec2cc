"""Questions that the demo asks of both stores at once, in the SQL of the engine that holds the series."""

from pathlib import Path

_SQL = Path(__file__).parent / "sql"
_NAMES = ("volume_by_instrument", "book_imbalance", "lines_of_files")


def dialect(engine: str) -> str:
    """Folder of an engine's texts; TimescaleDB speaks PostgreSQL's SQL."""
    return {"timescaledb": "postgresql"}.get(engine, engine)


def questions(engine: str) -> dict[str, str]:
    """Texts by what they ask, which is the first line of each file.

    Args:
        engine: of the series store, as its class has it.
    """
    found = {}
    for name in _NAMES:
        head, _, text = (
            (_SQL / dialect(engine) / "questions" / f"{name}.sql").read_text(encoding="utf-8").partition("\n")
        )
        found[head.removeprefix("-- ")] = text.strip()
    return found
