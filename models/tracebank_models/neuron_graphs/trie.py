"""The trie of a unit: from an activating token leftwards through its context, with values where a path may end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from .windows import Ids

Kind = Literal["root", "token", "any", "gap", "start", "negative", "end"]
Key = tuple[Kind, str, int]


@dataclass(frozen=True, slots=True)
class Step:
    """One step to the left."""

    kind: Kind
    token: str = ""
    importance: float = 0.0
    """For the activating token; of the activating token itself, of masking it."""
    value: float = 0.0
    """Normalised activation of the token itself."""
    reach: int = 0
    """Of a gap, how many tokens back the token is at most; of a negative context, counted from the activating token."""

    @property
    def key(self) -> Key:
        """What tells siblings apart."""
        return self.kind, self.token, self.reach


ANY: Final = Step("any")
START: Final = Step("start")


@dataclass(slots=True)
class Path:
    """An activating token and its context, right to left, with the normalised activation."""

    steps: list[Step]
    end: float
    ids: Ids = ()
    """Text that it was found in."""
    position: int = 0
    """Of the activating token in the text."""

    @property
    def places(self) -> list[int]:
        """How many tokens before the activating one each named token stands."""
        return [back for back, step in enumerate(self.steps) if step.kind == "token"]


@dataclass(slots=True)
class Node:
    """A node; what ends here has a value."""

    step: Step
    children: dict[Key, Node] = field(default_factory=dict)
    end: float | None = None

    def child(self, step: Step) -> Node:
        """The child of a step, made where it is not there: what is there first stays as it is."""
        return self.children.setdefault(step.key, Node(step))

    def sorted_children(self) -> list[Node]:
        """Children in an order that depends on nothing but themselves."""
        return [self.children[key] for key in sorted(self.children)]


def trie_of(paths: Sequence[Path]) -> Node:
    """Put paths into a trie; where two end at one node, the first one's value stays."""
    root = Node(Step("root"))
    for path in paths:
        node = root
        for step in path.steps:
            node = node.child(step)
        if node.end is None:
            node.end = path.end
    return root


def merge_any(root: Node) -> None:
    """Merge the siblings of an `any` child into it, but not those of an activating token.

    What continues below a sibling is copied below the `any` child. The sibling goes, unless a path ends at it.
    """
    queue = list(root.children.values())
    for node in queue:
        wild = node.children.get(ANY.key)
        if wild is not None:
            for key, sibling in list(node.children.items()):
                if sibling.step.kind == "token":
                    _copy_below(sibling, wild)
                    if sibling.end is None:
                        del node.children[key]
        queue.extend(node.children.values())


def _copy_below(source: Node, target: Node) -> None:
    for child in source.children.values():
        there = target.child(child.step)
        if there.end is None:
            there.end = child.end
        _copy_below(child, there)


def walk(root: Node) -> Iterator[tuple[Node, Node | None, int]]:
    """Every node with its parent and depth, the parent first, in an order that depends on the trie alone."""
    stack: list[tuple[Node, Node | None, int]] = [(root, None, 0)]
    while stack:
        node, parent, depth = stack.pop()
        yield node, parent, depth
        stack += [(child, node, depth + 1) for child in reversed(node.sorted_children())]
