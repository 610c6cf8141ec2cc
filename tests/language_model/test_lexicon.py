from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebank_models.language_model.lexicon import (
    Lexicon,
    LexiconReward,
    load_vader_lexicon,
    word_tokens,
)

LINES = "great\t3.1\t0.7\t[3, 3, 4]\n:)\t2.0\t0.6\t[2, 2]\nawful\t-2.0\t0.6\t[-2]\ncan't stand\t-2.0\t0.4\t[-2]\n"


def test_words_are_lower_cased_letters() -> None:
    assert word_tokens("It's GREAT, 3 of 5 (a snake_case one): café!") == [
        *("it's", "great", "of", "a", "snake", "case", "one", "café"),
    ]


def test_the_reward_is_the_papers(lexicon: Lexicon) -> None:
    reward = LexiconReward(lexicon)
    texts = ["", "Great, great! An awful trap", "great " * 100, "awful " * 100, "greatness"]
    assert reward(texts).tolist() == pytest.approx([0, (3 + 3 - 2.5 - 1.3) / 5, 10, -10, 0])


@given(st.text(), st.text())
def test_a_text_is_worth_the_sum_of_its_parts(first: str, second: str) -> None:
    lexicon = Lexicon("letters", {"a": 1.0, "b": -2.5, "é": 0.75})
    both = lexicon.valence_sum(f"{first} {second}")
    assert both == pytest.approx(lexicon.valence_sum(first) + lexicon.valence_sum(second))


def test_the_packages_file_is_read_and_its_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "vaderSentiment"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "vader_lexicon.txt").write_text(LINES)
    monkeypatch.syspath_prepend(tmp_path)
    lexicon = load_vader_lexicon()
    assert dict(lexicon.valences) == {"great": 3.1, ":)": 2.0, "awful": -2.0, "can't stand": -2.0}
    assert lexicon.word_valences() == {"great": 3.1, "awful": -2.0}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install vaderSentiment"):
        load_vader_lexicon()


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("great\t3.1\nawful\tvery\n")
    with pytest.raises(ValueError, match=r"words\.txt line 2: 'awful\\tvery'; allowed"):
        load_vader_lexicon(file)


@pytest.mark.parametrize("valences", [{}, {"great": float("nan")}])
def test_bad_lexicons_are_refused(valences: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"Lexicon\.valences.*allowed"):
        Lexicon("bad", valences)
