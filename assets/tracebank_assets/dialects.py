"""Which SQL the engines of the series store speak, and the questions that are written down in it."""

from pathlib import Path


def dialect(engine: str) -> str:
    """Folder of an engine's texts; TimescaleDB speaks PostgreSQL's SQL."""
    return {"timescaledb": "postgresql"}.get(engine, engine)


def written_questions(folder: Path, names: tuple[str, ...], engine: str) -> dict[str, str]:
    """Texts by what they ask, which is the first line of each file.

    Args:
        folder: holds `<dialect>/questions/<name>.sql`.
        names: of the questions.
        engine: of the series store, as its class has it.
    """
    found = {}
    for name in names:
        text = (folder / dialect(engine) / "questions" / f"{name}.sql").read_text(encoding="utf-8")
        head, _, query = text.partition("\n")
        found[head.removeprefix("-- ")] = query.strip()
    return found
