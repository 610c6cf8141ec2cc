"""What every editor is: settings, a memory of what it has written, values in one batch, and a change of the weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .prefixes import context_prefixes
from .requests import EditRequest
from .second_moments import SecondMoments
from .settings import PrefixPlan
from .trace import EditTrace
from .value_search import EditValue

Settings = TypeVar("Settings")


class Editor(ABC, Generic[Settings]):
    """Writes facts into a model. One editor goes with one model: it counts, and some remember, what it has written."""

    name: ClassVar[str]

    @staticmethod
    @abstractmethod
    def preset(model: str, layers: int) -> object:
        """Settings for a model of a name and a number of layers."""

    needs_moments: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.written = 0
        """Facts that were written."""
        self.memory: dict[int, Tensor] = {}
        """Of editors that spare what they wrote before: K K^T of it by layer, float64."""

    @property
    @abstractmethod
    def layers(self) -> tuple[int, ...]:
        """Layers that are written to."""

    def prepare(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        requests: Sequence[EditRequest],
        prefixes: Sequence[str] = (),
    ) -> list[EditValue] | None:
        """Values of independent facts, all on the model as it is; None of an editor that searches none.

        Raises:
            ValueError: As `search_values`.
        """
        del model, tokenizer, requests, prefixes
        return None

    @abstractmethod
    def apply(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        requests: Sequence[EditRequest],
        moments: SecondMoments | None = None,
        prefixes: Sequence[str] = (),
        prepared: Sequence[EditValue] | None = None,
    ) -> list[EditTrace]:
        """Change a model's weights in place so that it says facts.

        Args:
            model: The model.
            tokenizer: Its tokenizer.
            requests: The facts.
            moments: Of the model before its first edit, where the editor needs them.
            prefixes: See `prefixes`.
            prepared: What `prepare` found for these requests on this model; None searches now.

        Returns:
            Of each request, in their order.

        Raises:
            ValueError: A layer, the model's family, a request, moments or a number on the way is not allowed. What was
                written before stays: `edited` puts it back.
        """

    def prefixes(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int = 0) -> tuple[str, ...]:
        """Texts before a prompt as this editor wants them, written by the model before its first edit.

        Raises:
            ValueError: As `context_prefixes`.
        """
        plan = getattr(self.settings, "prefixes", None)
        return context_prefixes(model, tokenizer, plan, seed) if isinstance(plan, PrefixPlan) else ()

    def checked_moments(self, moments: SecondMoments | None) -> SecondMoments:
        """Moments, of every layer that is written to.

        Raises:
            ValueError: There are none.
        """
        if moments is None:
            raise ValueError(f"moments: none is not allowed with {self.name}; allowed: second_moments(...)")
        for layer in self.layers:
            moments.of(layer)
        return moments


def check_prepared(requests: Sequence[EditRequest], prepared: Sequence[EditValue] | None) -> None:
    """Refuse values of other facts, and no facts at all.

    Raises:
        ValueError: They are.
    """
    if not requests:
        raise ValueError("requests: none is not allowed; allowed: at least one")
    if prepared is not None and [one.request for one in prepared] != list(requests):
        raise ValueError(f"prepared: {len(prepared)} values are of other facts than these; allowed: of these, in order")
