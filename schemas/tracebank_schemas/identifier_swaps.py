"""Identifier swaps in Python: examples, and what models say of them, every one kept."""

from __future__ import annotations

from sqlalchemy import Float, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.evaluation import RUN
from tracebank_schemas.relational import Base, TokenText, owned_by


class SwapExample(Base):
    """A prompt that swaps two names, and two bodies for its function: only the good one minds the swap."""

    __tablename__ = "swap_examples"
    __table_args__ = (Index(None, "function"),)

    example: Mapped[str] = mapped_column(String(64), primary_key=True, doc="SHA-256 of prompt and bodies; item of runs")
    function: Mapped[str] = mapped_column(String(64), doc="SHA-256 of the function's text, a cluster of examples")
    source: Mapped[str] = mapped_column(String(400), primary_key=True, doc="tree or file that it is from")
    selection: Mapped[str] = mapped_column(
        String(64), primary_key=True, doc="rule by which functions were chosen, or variant of the released ones"
    )
    module: Mapped[str] = mapped_column(Text, doc="module")
    qualified_name: Mapped[str] = mapped_column(Text, doc="of the function in it")
    line: Mapped[int] = mapped_column(doc="of the function in its file, from 1")
    licence: Mapped[str] = mapped_column(Text, doc="of the source")
    python_version: Mapped[str] = mapped_column(String(32), doc="of the Python that printed the function")
    first: Mapped[str] = mapped_column(Text, doc="first of the swapped names")
    second: Mapped[str] = mapped_column(Text, doc="second of the swapped names")
    prompt: Mapped[str] = mapped_column(Text, doc="the line that swaps, the header and the docstring")
    good: Mapped[str] = mapped_column(Text, doc="body with both names exchanged: right after the swap")
    bad: Mapped[str] = mapped_column(Text, doc="body as it was: wrong after the swap")
    words: Mapped[int] = mapped_column(doc="of the function's text, separated by whitespace")
    documented: Mapped[bool] = mapped_column(doc="whether it has a docstring")
    header_use: Mapped[bool] = mapped_column(doc="whether a swapped name is in the header, which is not swapped")
    parses: Mapped[bool] = mapped_column(doc="whether both texts are Python")
    doctest: Mapped[str | None] = mapped_column(String(32), doc="what running its doctests gave; null: not run")


class SwapCount(Base):
    """How many functions or examples are left after each step of making a data set, or have a defect."""

    __tablename__ = "swap_counts"

    source: Mapped[str] = mapped_column(String(400), primary_key=True, doc="tree or file")
    selection: Mapped[str] = mapped_column(String(64), primary_key=True, doc="rule by which functions were chosen")
    step: Mapped[str] = mapped_column(String(32), primary_key=True, doc="what is counted")
    place: Mapped[int] = mapped_column(doc="of the step, from 0")
    count: Mapped[int] = mapped_column(doc="how many")
    python_version: Mapped[str] = mapped_column(String(32), doc="of the Python that read the sources")
    excluded: Mapped[str] = mapped_column(Text, doc="folders that were left out")


class SwapScore(Base):
    """What a model says of both bodies of an example under one condition; log-likelihoods are sums in nats."""

    __tablename__ = "swap_scores"
    __table_args__ = (Index(None, "example"),)

    run: Mapped[str] = mapped_column(String(64), owned_by(RUN), primary_key=True, doc="run")
    example: Mapped[str] = mapped_column(String(64), primary_key=True, doc="example")
    condition: Mapped[str] = mapped_column(
        String(16), primary_key=True, doc="swap; controls: no_swap, unrelated, alias, twice"
    )
    right: Mapped[str] = mapped_column(String(16), doc="which body is right: original or exchanged")
    reason: Mapped[str | None] = mapped_column(String(32), doc="why there are no numbers; null where there are")
    prompt_tokens: Mapped[int | None] = mapped_column(doc="tokens of the prompt")
    original_tokens: Mapped[int | None] = mapped_column(doc="tokens of the body as it was")
    exchanged_tokens: Mapped[int | None] = mapped_column(doc="tokens of the body with both names exchanged")
    original_log_likelihood: Mapped[float | None] = mapped_column(Float, doc="of that body after the prompt")
    exchanged_log_likelihood: Mapped[float | None] = mapped_column(Float, doc="of the other")
    prompt_log_likelihood: Mapped[float | None] = mapped_column(Float, doc="of the prompt after its first token")
    joint_original_log_likelihood: Mapped[float | None] = mapped_column(Float, doc="of prompt and body in one")
    joint_exchanged_log_likelihood: Mapped[float | None] = mapped_column(Float, doc="the same of the other body")
    loss: Mapped[float | None] = mapped_column(Float, doc="-log of the right body's share of both, nats")
    normalised_loss: Mapped[float | None] = mapped_column(Float, doc="the same of means per token")
    correct: Mapped[bool | None] = mapped_column(doc="whether the right body is the likelier")
    total_log_probability: Mapped[float | None] = mapped_column(Float, doc="log of both bodies' probabilities together")
    trained_on: Mapped[bool | None] = mapped_column(doc="whether its module was in the training text; null: not known")


class SwapAnswer(Base):
    """What a model behind an endpoint answers when it is shown both programs, in one order."""

    __tablename__ = "swap_answers"

    run: Mapped[str] = mapped_column(String(64), owned_by(RUN), primary_key=True, doc="run")
    example: Mapped[str] = mapped_column(String(64), primary_key=True, doc="example")
    order: Mapped[str] = mapped_column(String(16), primary_key=True, doc="good_first or bad_first")
    answer: Mapped[str] = mapped_column(TokenText, doc="what it says")
    chosen: Mapped[int | None] = mapped_column(doc="program that it names, 1 or 2; null where it names neither")
    valid: Mapped[bool] = mapped_column(doc="whether it names one")
    correct: Mapped[bool] = mapped_column(doc="whether it names the good one; an invalid answer is wrong")
    exchange_hash: Mapped[str] = mapped_column(String(64), doc="of question and answer")


class SwapTrend(Base):
    """How the loss goes with the size of models that read the same text, under one condition."""

    __tablename__ = "swap_trends"

    ladder: Mapped[str] = mapped_column(String(32), primary_key=True, doc="models that read the same text")
    functions_of: Mapped[str] = mapped_column(
        String(16), primary_key=True, doc="whose functions: all, trained_on (their modules were read) or held_out"
    )
    condition: Mapped[str] = mapped_column(String(16), primary_key=True, doc="condition")
    statistic: Mapped[str] = mapped_column(
        String(16), primary_key=True, doc="pearson, spearman or kendall, of log size and log mean loss"
    )
    value: Mapped[float | None] = mapped_column(Float, doc="correlation; null of fewer than five models")
    low: Mapped[float | None] = mapped_column(Float, doc="lower end of the 95 % interval over functions")
    high: Mapped[float | None] = mapped_column(Float, doc="upper end")
    p_value: Mapped[float | None] = mapped_column(Float, doc="as if models were independent draws")
    models: Mapped[int] = mapped_column(doc="how many")
    examples: Mapped[int] = mapped_column(doc="that every model has a loss of")
    functions: Mapped[int] = mapped_column(doc="that they are of")
    reason: Mapped[str | None] = mapped_column(Text, doc="why there is no value, or no interval")
