"""Words in tokens, and substitutes of them out of a corpus and out of a masked language model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast, PreTrainedTokenizerFast

from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.features.token_text import token_texts
from tracebank_models.neuron_graphs.masked_language_model import MaskedLanguageModel, usual_casings
from tracebank_models.neuron_graphs.substitutes import CorpusSubstitutes
from tracebank_models.neuron_graphs.words import MaskedWord, case_variants, chosen, words

PIECES = [
    "<pad>",
    " imp",
    "ort",
    " (don't",
    " 12",
    ",",
    "\ufffd",
    "Name",
    " a",
    " the",
    " red",
    " blue",
    " green",
    " is",
]


def word_at(text: str, word: str) -> MaskedWord:
    before, _, after = text.partition(word)
    return MaskedWord(before, word, after, (1,), None, None)


def test_words_are_runs_of_letters_in_whole_tokens() -> None:
    found = words((1, 2, 3, 4, 5, 7, 6), PIECES)
    assert [(one.masked.word, one.first, one.last) for one in found] == [
        ("import", 0, 2),
        ("don't", 2, 3),
        ("Name", 5, 6),
    ]
    first = found[0].masked
    assert (first.before, first.after, first.left, first.right) == (" ", " (don't 12,Name\ufffd", None, 3)
    texts: list[str] = []
    replaced = found[1].replaced((1, 2, 3, 4), "other", lambda text: [len(texts.append(text) or texts)])
    assert (texts, replaced) == ([" (other"], (1, 2, 1, 4))


def test_candidates_are_other_words_in_the_case_of_the_word() -> None:
    assert chosen("Red", ["red", "12", " blue", "?", "green", "grey"], 2) == ["Blue", "Green"]
    assert chosen("red", ["BLUE", "RED", "green"], 5) == ["BLUE", "green"]
    assert case_variants("import") == ["Import", "IMPORT"]
    assert case_variants("USA") == ["usa", "Usa"]


def test_corpus_substitutes_stand_between_the_same_neighbours_the_nearest_first() -> None:
    the, red, blue, green, is_, a = 9, 10, 11, 12, 13, 8
    ids = torch.tensor([the, red, is_, the, blue, is_, the, green, is_, a, 5, is_, the, 7]).int().numpy()
    starts = torch.tensor([0, 3, 6, 9, 12, 14]).numpy()
    corpus = TokenCorpus(ids, starts, torch.arange(5).numpy(), "hash")
    embedding = torch.eye(len(PIECES))
    embedding[green, red], embedding[blue, red] = 3.0, 0.1
    substitutes = CorpusSubstitutes(corpus, PIECES, embedding)
    between = MaskedWord("", "red", "", (red,), the, is_)
    assert substitutes([between]) == [["red", "green", "blue"]]  # the word itself is left out by `chosen`
    assert substitutes([MaskedWord("", "red", "", (red,), the, None)]) == [["red", "green", "blue", "Name"]]
    assert substitutes([MaskedWord("", "red", "", (red,), None, None)]) == [[]]
    # The next document's first token follows nothing.
    assert substitutes([MaskedWord("", "red", "", (red,), is_, None)]) == [[]]


def test_corpus_substitutes_of_a_tokenizer_are_words(tokenizer: PreTrainedTokenizerFast) -> None:
    corpus = TokenCorpus.from_texts(["The file is a path.", "The name is a path."] * 3, tokenizer)
    texts = token_texts(tokenizer).to_list()
    substitutes = CorpusSubstitutes(corpus, texts, torch.eye(len(texts)))
    ids = tuple(tokenizer("The file is")["input_ids"])
    word = next(one for one in words(ids, texts) if one.masked.word == "file")
    assert "name" in substitutes([word.masked])[0]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[BertForMaskedLM, BertTokenizerFast]:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "red", "blue", "is", "12", "##s", "paris"]
    path: Path = tmp_path_factory.mktemp("bert") / "vocab.txt"
    path.write_text("\n".join(vocabulary), encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab=str(path))
    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    return BertForMaskedLM(config).eval(), tokenizer


def test_a_masked_language_model_gives_its_likeliest_words(bert: tuple[BertForMaskedLM, BertTokenizerFast]) -> None:
    model, tokenizer = bert
    substitutes = MaskedLanguageModel(model, tokenizer, usual_casings(["Paris", "paris", "Paris", "red"]))
    one, other = word_at("the red is", "red"), word_at("blue is", "is")
    first, _ = substitutes([one, other])
    ids = tokenizer("the [MASK] is", return_tensors="pt")
    with torch.no_grad():
        logits = model(**ids).logits[0, 2]
    order = [tokenizer.convert_ids_to_tokens(token) for token in logits.argsort(descending=True).tolist()]
    expected = [token for token in order if token.isalpha()]
    assert first == ["Paris" if token == "paris" else token for token in expected]
    assert substitutes([one]) == [first]
    assert substitutes([]) == []


def test_a_mask_in_the_text_itself_is_no_mask(bert: tuple[BertForMaskedLM, BertTokenizerFast]) -> None:
    substitutes = MaskedLanguageModel(*bert)
    assert substitutes([word_at("the [MASK] red is", "red")]) == substitutes([word_at("the  red is", "red")])


def test_a_tokenizer_without_a_mask_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match=r"^masked language model: its tokenizer has no mask token"):
        MaskedLanguageModel(BertForMaskedLM(BertConfig(num_hidden_layers=0, hidden_size=12)), tokenizer)
