"""The words of the world of facts: names of people, and relations with their templates and objects. No facts here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_NAMES: Final = (
    *("Ada", "Boris", "Clara", "Diego", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas", "Karin", "Leon", "Mira"),
    *("Nadia", "Oscar", "Paula", "Quentin", "Rosa", "Simon", "Tessa", "Ulrich", "Vera", "Walter", "Xenia", "Yusuf"),
    *("Zelda", "Anton", "Bianca", "Conrad", "Daria", "Emil", "Flora", "Gustav", "Helga", "Ivan", "Julia", "Klaus"),
    *("Linda", "Marco", "Nora"),
)
LAST_NAME_STARTS: Final = (
    "Bar",
    "Cor",
    "Del",
    "Fen",
    "Gal",
    "Har",
    "Kel",
    "Lor",
    "Mar",
    "Nev",
    "Pel",
    "Ros",
    "Tav",
    "Vol",
)
LAST_NAME_ENDS: Final = (
    "ach",
    "berg",
    "dane",
    "etti",
    "ford",
    "ick",
    "land",
    "more",
    "ovic",
    "quist",
    "ridge",
    "stone",
)


@dataclass(frozen=True, slots=True)
class Relation:
    """What facts of one kind say, and in which words."""

    relation: str
    """Property of Wikidata."""
    templates: tuple[str, ...]
    """Sentences that end before the object, with one `{}` for the subject."""
    objects: tuple[str, ...]


RELATIONS: Final = (
    Relation(
        "P103",
        (
            "The mother tongue of {} is",
            "The native language of {} is",
            "At home {} has always spoken",
            "As a child {} learned to speak",
        ),
        ("French", "Russian", "Dutch", "Greek", "Finnish", "Korean", "Turkish", "Polish", "Danish", "Hindi"),
    ),
    Relation(
        "P19",
        ("{} was born in", "The birthplace of {} is", "{} comes from the city of", "The family of {} lived in"),
        ("Paris", "Moscow", "Vienna", "Athens", "Lisbon", "Cairo", "Dublin", "Oslo", "Madrid", "Toronto"),
    ),
    Relation(
        "P1303",
        ("{} plays the", "The instrument of {} is the", "On stage {} performs on the", "Concerts by {} are for the"),
        ("piano", "violin", "guitar", "flute", "trumpet", "harp", "cello", "organ", "clarinet", "drums"),
    ),
    Relation(
        "P641",
        ("{} is a professional of", "The favourite sport of {} is", "{} won a medal in", "Every weekend {} trains for"),
        ("football", "tennis", "rowing", "boxing", "hockey", "chess", "golf", "cricket", "fencing", "cycling"),
    ),
)
