"""One example: a function, two of its names, and the two texts that may follow the line that swaps them.

How functions are found and chosen is `dataset`; the authors' released examples are read by `released`.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tracebank_models.checked_settings import settings_hash

Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class SwapExample:
    """A prompt that swaps two names, and two bodies for its function: only `good` minds the swap."""

    example: str
    """SHA-256 (hex) of prompt and bodies: the key of the item in every run."""
    function: str
    """SHA-256 (hex) of the function's text: examples of one function are a cluster."""
    source: str
    """Which tree or file it is from, e.g. `standard_library`."""
    module: str
    qualified_name: str
    line: int
    """Of the function in its file, from 1."""
    licence: str
    python_version: str
    """Of the Python that printed the function."""
    selection: str
    first: str
    """First of the swapped names."""
    second: str
    prompt: str
    """The line that swaps, the header and the docstring."""
    good: str
    """The body with both names exchanged: right after the swap."""
    bad: str
    """The body as it was: wrong after the swap."""
    words: int
    """Of the function's text, separated by whitespace."""
    documented: bool
    """Whether it has a docstring."""
    header_use: bool
    """Whether a swapped name is evaluated in the header, which is printed unswapped."""
    parses: bool = True
    """Whether both texts are Python."""
    doctest: str | None = None
    """What running its doctests gave, see `doctests`; None where they were not run."""


def example_key(prompt: str, good: str, bad: str) -> str:
    """SHA-256 (hex) of what an example says."""
    return settings_hash(prompt, good, bad)


def text_key(text: str) -> str:
    """SHA-256 (hex) of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def swap_line(first: str, second: str) -> str:
    """The assignment that swaps two names."""
    return f"{first}, {second} = {second}, {first}"


def printed(function: ast.FunctionDef, owner: ast.ClassDef | None = None) -> str:
    """A function as `ast` prints it; a method within the header of its class.

    Raises:
        ValueError: `ast` cannot print it.
        RecursionError: It is nested too deeply.
    """
    return ast.unparse(_within(function, owner))


def swapped_texts(
    function: ast.FunctionDef, owner: ast.ClassDef | None, first: str, second: str
) -> tuple[str, str, str]:
    """Prompt, good and bad body; a body begins with a blank and a line break, as the paper's.

    Raises:
        ValueError: `ast` cannot print the function, or its header is not the beginning of what is printed.
    """
    head = function.body[:1] if ast.get_docstring(function) is not None else []
    header = printed(_with_body(function, head or [ast.Pass()]), owner)
    header = header if head else header[: header.rindex("pass")].rstrip()
    if len(head) == len(function.body):
        raise ValueError(f"function: {function.name} has no body behind its header and docstring")
    bad = _body(function, owner, header)
    with _exchanged(function.body[len(head) :], first, second):
        good = _body(function, owner, header)
    return f"{swap_line(first, second)}\n{header}", good, bad


def _body(function: ast.FunctionDef, owner: ast.ClassDef | None, header: str) -> str:
    whole = printed(function, owner)
    if not whole.startswith(f"{header}\n"):
        raise ValueError(f"function: {function.name} does not begin with its header where it is printed")
    return f" {whole[len(header) :]}\n"


@contextmanager
def _exchanged(statements: Sequence[ast.stmt], first: str, second: str) -> Iterator[None]:
    """Exchange two names wherever they stand as names: not as attributes, keywords, parameters or text."""
    other = {first: second, second: first}
    names = [node for one in statements for node in ast.walk(one) if isinstance(node, ast.Name) and node.id in other]
    _exchange(names, other)
    try:
        yield
    finally:
        _exchange(names, other)


def _exchange(names: Sequence[ast.Name], other: Mapping[str, str]) -> None:
    for node in names:
        node.id = other[node.id]


def is_python(text: str) -> bool:
    """Whether a text parses."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _with_body(function: ast.FunctionDef, body: list[ast.stmt]) -> ast.FunctionDef:
    made = copy.copy(function)
    made.body = body
    return made


def _within(function: ast.FunctionDef, owner: ast.ClassDef | None) -> Definition:
    if owner is None:
        return function
    made = copy.copy(owner)
    made.body, made.decorator_list = [function], []
    return made
