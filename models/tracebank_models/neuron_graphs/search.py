"""Questions about units in words, such as `import after:from`, and the tokens of graphs by their roles.

A question becomes plain conditions, which the catalogue answers in SQL over the nodes of graphs.
"""

from __future__ import annotations

import json
import re
from typing import Final, Literal, NamedTuple

import polars as pl

from tracebank_models.neuron_graphs.token_normalization import normalized_token

Role = Literal["fires_on", "after", "unless"]
_FIELDS = ("after", "any", "unless")
MOST_TERMS: Final = 32
"""Of one question."""
_SYNTAX = 'allowed are terms such as import, after:from, unless:x, any:x, and any of them in quotes: after:" a"'
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_TERM = re.compile(rf'(?:(?P<field>[^\s":]*):)?(?P<token>{_QUOTED.pattern}|[^\s":]*)(?=\s|$)\s*', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_UNIT = ["dictionary", "feature"]


class Condition(NamedTuple):
    """What a unit must have: a token in a role, as `unit_tokens` gives them."""

    role: Role | None
    """`fires_on`, `after` (stands before what it fires on) or `unless` (silences it there); None is any of them."""
    token: str
    fires_on: str | None
    """The token that it fires on there; None is any."""
    lacks: bool = False
    """Whether the unit must not have it."""


def parse(question: str, normalize: bool = True) -> list[list[Condition]]:
    r"""What a question asks of a unit: it must meet all of one of the lists.

    `import` asks for units that fire on this token, `after:from` for those that do so after that one, on the token
    named before it or else on any (`any after:from` says so), `unless:x` for those that a token silences, and `any:x`
    for a token in any of these roles. Terms beside each other, or with AND between them, must all be met; `OR` begins
    an alternative, and `NOT` asks that the next term is not met. In quotes a term may hold blanks, `:` and `,`, and be
    one of these words; a quote in it is written `\"` and a backslash `\\`.

    Args:
        question: Terms, with blanks between them.
        normalize: Tokens are written as graphs write them (`normalized_token`).

    Raises:
        ValueError: It asks for nothing or for more than `MOST_TERMS`, a quote is not closed, AND, OR or NOT stands
            beside no term, or a field is not known.
    """
    terms = _terms(question)
    if len(terms) > MOST_TERMS:
        raise ValueError(f"question: {len(terms):,} terms are not allowed; allowed: up to {MOST_TERMS}")
    alternatives = [_conditions(part, normalize) for part in _alternatives(terms)]
    if not all(alternatives):
        raise ValueError(f"question: {_short(question)} asks for no token; {_SYNTAX}")
    return alternatives


_Term = tuple[str | None, str, bool]
"""Field, token and whether it is quoted."""


def _word(term: _Term) -> str | None:
    """AND, OR or NOT, where a term is that."""
    field, token, quoted = term
    return token if field is None and not quoted and token in ("AND", "OR", "NOT") else None


def _alternatives(terms: list[_Term]) -> list[list[_Term]]:
    """Terms between OR and OR, AND left out: it says nothing more."""
    found: list[list[_Term]] = [[]]
    before: str | None = "OR"
    for term in terms:
        word = _word(term)
        if word and before and (word, before) not in {("NOT", "AND"), ("NOT", "OR")}:
            raise ValueError(f"question: {word} stands after no term; quote the token: {_short(word)}")
        if word == "OR":
            found.append([])
        elif word != "AND":
            found[-1].append(term)
        before = word
    if terms and before:
        raise ValueError(f"question: {before} stands before no term; quote the token: {_short(before)}")
    return found


def _conditions(terms: list[_Term], normalize: bool) -> list[Condition]:
    found: list[Condition] = []
    fires_on: str | None = None
    lacks = False
    for term in terms:
        field, token, quoted = term
        written = normalized_token(token) if normalize else token
        if _word(term) == "NOT":
            lacks = True
            continue
        if field is None and token == "any" and not quoted:
            fires_on = None
        elif field is None:
            found.append(Condition("fires_on", written, written, lacks))
            fires_on = fires_on if lacks else written
        elif field == "any":
            found.append(Condition(None, written, None, lacks))
        else:
            found.append(Condition("after" if field == "after" else "unless", written, fires_on, lacks))
        lacks = False
    # A term that another one says more narrowly still stands: a unit has a row for both.
    return list(dict.fromkeys(found))


def _terms(question: str) -> list[_Term]:
    found, rest = [], question.strip()
    while rest:
        term = _TERM.match(rest)
        if term is None:
            raise ValueError(f"question: {_short(rest)} is not allowed: {_wrong(rest)}; {_SYNTAX}")
        field, written = term["field"], term["token"]
        if field not in (None, *_FIELDS):
            raise ValueError(
                f"question: {_short(field)} is no field: allowed are {', '.join(_FIELDS)}; quote a term that holds :"
            )
        quoted = written.startswith('"')
        token = _ESCAPE.sub(r"\1", written[1:-1]) if quoted else written
        if not token:
            raise ValueError(f"question: {_short(rest)} has no token; {_SYNTAX}")
        found.append((field, token, quoted))
        rest = rest[term.end() :]
    return found


def _wrong(rest: str) -> str:
    opened = re.match(r'[^\s":]*:?(?=")', rest)
    if opened and not _QUOTED.match(rest, opened.end()):
        return "its quote is not closed"
    return "quotes and : stand within quotes alone"


def _short(text: str) -> str:
    shown = json.dumps(text, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def unit_tokens(nodes: pl.DataFrame) -> pl.DataFrame:
    """The tokens of graphs with their roles: what is searched, and what units are compared by.

    Args:
        nodes: `NeuronGraph.nodes` with dictionary and feature. The trie that is drawn is read: it has every token of
            the context, where the other has `any`. What a unit fires on are the tokens below its root.

    Returns:
        Distinct rows of dictionary, feature, role (`fires_on`, `after` or `unless`), token and fires_on (the token that
        the unit fires on there; null where that may be any).
    """
    nodes = nodes.filter(trie="draw")
    roots = nodes.filter(kind="root").select(*_UNIT, pl.col("node").alias("parent"))
    heads = nodes.join(roots, on=[*_UNIT, "parent"], how="semi")
    fires_on = pl.when(kind="token").then("token").alias("fires_on")
    reached = heads.select(*_UNIT, pl.col("node").alias("parent"), fires_on)
    parts = [heads.filter(kind="token").select(*_UNIT, pl.lit("fires_on").alias("role"), "token", fires_on)]
    role = pl.when(kind="negative").then(pl.lit("unless")).otherwise(pl.lit("after")).alias("role")
    while reached.height:
        below = nodes.join(reached, on=[*_UNIT, "parent"])
        named = below.filter(pl.col("kind").is_in(["token", "gap", "negative"]))
        parts.append(named.select(*_UNIT, role, "token", "fires_on"))
        reached = below.select(*_UNIT, pl.col("node").alias("parent"), "fires_on")
    return pl.concat(parts).unique().sort(*_UNIT, "role", "token", "fires_on")
