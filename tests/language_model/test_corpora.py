from __future__ import annotations

import hashlib
import inspect
import itertools
import shutil
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tracebank_models.language_model.corpus import Document, corpus_frame, corpus_hash, split_corpus
from tracebank_models.language_model.lexicon import Lexicon, word_tokens
from tracebank_models.language_model.offline_corpus import OfflineCorpus, offline_corpus
from tracebank_models.language_model.product_reviews import ProductReviews, ReviewStyle
from tracebank_models.language_model.review_words import ADJECTIVES, FACTS, NOUNS, PRODUCTS, SLOTS, VERBS
from tracebank_models.language_model.standard_library import standard_library_documents


def test_a_review_depends_on_seed_and_number_alone(lexicon: Lexicon) -> None:
    first, second = list(ProductReviews(lexicon).documents(8)), list(ProductReviews(lexicon).documents(3, start=5))
    assert second == first[5:]
    assert list(ProductReviews(lexicon, seed=1).documents(8)) != first
    assert [document.document_id for document in second] == ["review/0/5", "review/0/6", "review/0/7"]


def test_stars_decide_how_reviews_sound(lexicon: Lexicon) -> None:
    texts = [document.text for document in ProductReviews(lexicon).documents(600)]
    means = {
        stars: np.mean([lexicon.valence_sum(text) for text in texts if f"{stars} of 5 stars" in text])
        for stars in (1, 5)
    }
    assert means[1] < -2
    assert means[5] > 2


def test_nothing_but_opinion_words_has_a_valence() -> None:
    """With every opinion word at 1 and 2, and everything else unknown, no other word can sway the reward."""
    valences = dict.fromkeys((*ADJECTIVES, *VERBS, *NOUNS), 1.0) | {"dull": -1.0, "hate": -1.0, "trap": -1.0}
    neutral = [*FACTS, *(word for words in (*SLOTS.values(), *PRODUCTS.values(), PRODUCTS) for word in words)]
    assert [text for text in neutral if any(word in valences for word in word_tokens(text))] == []


def test_frequencies_follow_the_exponent(lexicon: Lexicon) -> None:
    valences = dict.fromkeys(ADJECTIVES[:20], 1.0) | {
        "love": 1.0,
        "gift": 1.0,
        "dull": -1.0,
        "hate": -1.0,
        "trap": -1.0,
    }
    style = ReviewStyle(fact_share=0, frequency_exponent=1)
    texts = [document.text for document in ProductReviews(Lexicon("l", valences), style=style).documents(2_000)]
    found = Counter(word for text in texts for word in word_tokens(text) if word in ADJECTIVES[:20])
    counts = np.array(sorted(found.values(), reverse=True))
    expected = np.sum(counts) / np.sum(1 / np.arange(1, 21)) / np.arange(1, 21)
    assert counts == pytest.approx(expected, rel=0.25)


def test_a_lexicon_without_negative_words_is_refused() -> None:
    with pytest.raises(ValueError, match="'sunny' knows no negative adjective of the grammar; allowed"):
        ProductReviews(Lexicon("sunny", {"great": 3.0, "love": 3.0, "gift": 2.0}))


def test_bad_styles_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ReviewStyle\.longest: 2 is not allowed; allowed: a whole number from 3"):
        ReviewStyle(longest=2)


def test_the_standard_library_is_found(tmp_path: Path) -> None:
    def ids(seed: int) -> list[str]:
        return [one.document_id for one in itertools.islice(standard_library_documents(("docstrings",), seed), 60)]

    assert len(set(ids(0))) == 60
    assert ids(0) == ids(0) != ids(1)
    shutil.copy(textwrap.__file__, tmp_path)
    by_id = {one.document_id: one.text for one in standard_library_documents(("docstrings",), root=tmp_path)}
    assert by_id["stdlib/docstring/textwrap:dedent"] == inspect.getdoc(textwrap.dedent)


def test_sources_and_docstrings_of_a_folder(tmp_path: Path) -> None:
    words = "words that are long enough to be a docstring worth its place in a corpus, and some more"
    (tmp_path / "inner").mkdir()
    code = f'"""{words}"""\nclass A:\n    def f(self):\n        """{words} f"""\nif True:\n    def g(): "short"\n'
    (tmp_path / "inner" / "one.py").write_text(code)
    (tmp_path / "broken.py").write_text("def")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "skipped.py").write_text(code)
    found = {document.document_id: document.text for document in standard_library_documents(root=tmp_path)}
    assert found == {
        "stdlib/docstring/inner.one": words,
        "stdlib/docstring/inner.one:A.f": f"{words} f",
        "stdlib/source/inner.one": code,
    }


def test_unknown_kinds_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"kinds: \['poems'\] is not allowed; allowed: one or more of docstrings, sou"):
        standard_library_documents(("poems",))
    with pytest.raises(ValueError, match="holds no Python file; allowed"):
        standard_library_documents(root=tmp_path)


def test_corpora_have_ids_a_limit_and_a_hash() -> None:
    documents = [Document(f"d/{i}", "own", "x" * 10) for i in range(5)]
    corpus = corpus_frame(documents, max_characters=35)
    assert corpus.rows() == [(f"d/{i}", "own", "x" * 10) for i in range(3)]
    digest = hashlib.sha256(
        b"".join(len(p).to_bytes(8, "little") + p for i in range(3) for p in (b"d/%d" % i, b"x" * 10))
    )
    assert corpus_hash(corpus) == digest.hexdigest()
    with pytest.raises(ValueError, match="'d/1' occurs twice"):
        corpus_frame([documents[1], documents[1]])


@pytest.mark.parametrize("documents", [[], [Document("a", "own", "")]])
def test_empty_corpora_are_refused(documents: list[Document]) -> None:
    with pytest.raises(ValueError, match=r"corpus: \d documents without a character; allowed: at least one with text"):
        corpus_frame(documents)


def test_a_document_never_changes_sides(corpus: pl.DataFrame) -> None:
    train, validation = split_corpus(corpus, 0.2)
    assert sorted([*train["document_id"], *validation["document_id"]]) == sorted(corpus["document_id"])
    assert 0.1 < validation.height / corpus.height < 0.3
    again = split_corpus(corpus.sample(fraction=0.5, seed=0), 0.2)[1]
    assert set(again["document_id"]) <= set(validation["document_id"])
    with pytest.raises(ValueError, match="validation_share: 0 is not allowed"):
        split_corpus(corpus, 0)


def test_the_offline_corpus_has_every_source(lexicon: Lexicon) -> None:
    wanted = OfflineCorpus(reviews=5, docstring_characters=20_000, source_characters=200_000, seed=2)
    corpus = offline_corpus(lexicon, wanted)
    sizes = dict(corpus.group_by("source").agg(pl.col("text").str.len_chars().sum()).iter_rows())
    assert set(sizes) == {"product_reviews", "standard_library_docstrings", "standard_library_sources"}
    assert 0 < sizes["standard_library_docstrings"] <= 20_000
    assert 0 < sizes["standard_library_sources"] <= 200_000
    assert corpus_hash(offline_corpus(lexicon, wanted)) == corpus_hash(corpus)
    with pytest.raises(ValueError, match=r"OfflineCorpus\.reviews: 0 is not allowed; allowed: at least one source"):
        OfflineCorpus(0, 0, 0)
