from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tracebank_models.language_model.corpus import Document, corpus_frame
from tracebank_models.language_model.token_blocks import encode_documents, padded_batch, padded_texts, token_blocks
from tracebank_models.language_model.tokenizer import tokenizer_hash, train_tokenizer

BYTES = train_tokenizer(["to and fro"], 258)


@given(st.text())
def test_every_text_comes_back(text: str) -> None:
    assert BYTES.decode(encode_documents(BYTES, [text])[0]) == text
    assert len(encode_documents(BYTES, [text])[0]) == len(text.encode())


def test_the_hash_is_of_what_decides_about_ids(
    corpus: pl.DataFrame, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    again = train_tokenizer(corpus["text"], 400)
    assert len(again) == 400
    assert again.eos_token_id == 0
    assert again.pad_token_id == 1
    again("two words", padding="max_length", max_length=9, truncation=True)
    again.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert {tokenizer_hash(one) for one in (tokenizer, again, loaded)} == {tokenizer_hash(tokenizer)}
    other = train_tokenizer(corpus["text"], 401)
    assert tokenizer_hash(other) != tokenizer_hash(tokenizer)


def test_impossible_vocabularies_are_refused() -> None:
    with pytest.raises(ValueError, match="vocabulary_size: 257 is not allowed; allowed: a whole number from 258"):
        train_tokenizer(["to and fro"], 257)


def test_little_text_gives_fewer_tokens() -> None:
    assert 258 < len(train_tokenizer(["to and fro, to and fro"], 900)) < 300


def test_blocks_hold_every_token_with_its_place() -> None:
    corpus = corpus_frame(Document(f"d{i}", "own", "abcdefg"[: i + 1]) for i in range(7))
    blocks = token_blocks(BYTES, corpus, 5)
    stream = [token for text in corpus["text"] for token in (*BYTES(text)["input_ids"], 0)]
    assert blocks.ids.ravel().tolist() == stream
    assert blocks.documents.ravel()[:6].tolist() == [0, 0, 1, 1, 1, 2]
    assert blocks.positions.ravel()[:6].tolist() == [0, 1, 0, 1, 2, 0]
    assert token_blocks(BYTES, corpus, 4).content_hash() != blocks.content_hash()
    with pytest.raises(ValueError, match="corpus: 35 tokens are not allowed; allowed: at least one block, 36"):
        token_blocks(BYTES, corpus, 36)


def test_padding_stands_where_it_is_wanted() -> None:
    sequences = [np.array([5, 6], dtype=np.int32), np.array([7], dtype=np.int32)]
    ids, mask = padded_batch(sequences, 1)
    assert (ids.tolist(), mask.tolist()) == ([[5, 6], [7, 1]], [[1, 1], [1, 0]])
    ids, mask = padded_batch(sequences, 1, left=True)
    assert (ids.tolist(), mask.tolist()) == ([[5, 6], [1, 7]], [[1, 1], [0, 1]])
    assert padded_texts(BYTES, ["abc", "a"], longest=2)[0][1].tolist() == [[1, 1], [1, 0]]
    with pytest.raises(ValueError, match="sequences: an empty one"):
        padded_texts(BYTES, ["abc", ""])
