"""What a token adds to the valence of a text, against the text's own valence with and without it."""

from __future__ import annotations

import random

import pytest
import torch

from tracebank_models.language_model.lexicon import Lexicon
from tracebank_models.reward_probe.next_valence import TokenValences

WORDS = {"good": 1.9, "goodness": 2.0, "god": 1.1, "bad": -2.5, "can't": -1.0, "don": 0.5, "ass": -2.0}
LEXICON = Lexicon("toy", WORDS)
TEXTS = ["", " ", "'", "''", "'t", "'s", " go", "od", " good", "GOOD", "ness", "s", "d", "b", "ad", "a", "t", "can",
         "don", ", bad", "od, bad", "'good'", " 'bad", "\ufffd", "12", "od'", "ass!", "don't", "_good"]  # fmt: skip
BEFORE = ["", "g", "go", "good", "goodness", "b", "can", "can'", "don", "don'", "don't", "x"]


@pytest.mark.parametrize("before", BEFORE)
def test_a_token_is_worth_what_it_adds(before: str) -> None:
    found = TokenValences(TEXTS, LEXICON).after(before)
    wanted = [LEXICON.valence_sum(before + text) - LEXICON.valence_sum(before) for text in TEXTS]
    torch.testing.assert_close(found, torch.tensor(wanted))


def test_the_values_along_a_text_add_up_to_its_own(tokenizer: object) -> None:
    valences, chance = TokenValences(TEXTS, LEXICON), random.Random(1)
    for _ in range(200):
        ids = [chance.randrange(len(TEXTS)) for _ in range(12)]
        rows = torch.cat([valences.after("")[None], valences.of_texts([ids])[:-1]])
        whole = LEXICON.valence_sum("".join(TEXTS[one] for one in ids))
        assert float(rows[torch.arange(12), ids].sum()) == pytest.approx(whole, abs=1e-4)
    special = TokenValences.of(tokenizer, Lexicon("toy", {"padding": 3.0, "a": 1.0}))  # type: ignore[arg-type]
    assert special.after("").nonzero().flatten().tolist() == tokenizer.convert_tokens_to_ids(["A", "a"])  # type: ignore[attr-defined]
