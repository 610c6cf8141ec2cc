"""One example: a function, two of its names, and the two texts that may follow the line that swaps them.

How functions are found and chosen is `dataset`; the authors' released examples are read by `released`.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import hashlib
from dataclasses import dataclass

from tracebank_models.language_model.fingerprint import settings_hash

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


class _Exchange(ast.NodeTransformer):
    """Exchanges two names wherever they stand as names: not as attributes, keywords, parameters or text."""

    def __init__(self, first: str, second: str) -> None:
        self._other = {first: second, second: first}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._other.get(node.id, node.id)
        return node


def printed(function: ast.FunctionDef, owner: ast.ClassDef | None = None) -> str:
    """A function as `ast` prints it; a method within the header of its class.

    Raises:
        ValueError: `ast` cannot print it.
        RecursionError: It is nested too deeply.
    """
    return ast.unparse(ast.fix_missing_locations(_within(function, owner)))


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
    exchange = _Exchange(first, second)
    rest = [exchange.visit(copy.deepcopy(statement)) for statement in function.body[len(head) :]]
    bodies = []
    for statements in (rest, function.body[len(head) :]):
        whole = printed(_with_body(function, [*head, *statements]), owner)
        if not statements or not whole.startswith(f"{header}\n"):
            raise ValueError(f"function: {function.name} has no body behind its header and docstring")
        bodies.append(f" {whole[len(header) :]}\n")
    return f"{swap_line(first, second)}\n{header}", bodies[0], bodies[1]


def is_python(text: str) -> bool:
    """Whether a text parses."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def with_verdict(example: SwapExample, verdict: str) -> SwapExample:
    """The same with what its doctests gave."""
    return dataclasses.replace(example, doctest=verdict)


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
