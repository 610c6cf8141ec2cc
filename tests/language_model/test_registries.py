"""Corpora, rewards and preference sets of a user's: what is read, and one line for what is not right."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForSequenceClassification

from tracebank_models.language_model.corpora import PARTS, FileCorpus, FolderCorpus, ReviewCorpus
from tracebank_models.language_model.preference_sets import (
    PreferenceFile,
    PreferenceText,
    encoded_pairs,
    scored_preferences,
)
from tracebank_models.language_model.rewards import ClassifierEntry, LexiconEntry, ScoresEntry, read_lexicon
from tracebank_models.language_model.tokenizer import train_tokenizer


def _lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _texts(count: int) -> list[dict[str, Any]]:
    return [{"id": f"a{number}", "text": f"Text {number} of them."} for number in range(count)]


def test_no_text_is_in_two_parts_however_the_file_is_ordered(tmp_path: Path) -> None:
    rows = _texts(2_000)
    there = [FileCorpus(path=str(_lines(tmp_path / f"{name}.jsonl", of))) for name, of in
             (("forth", rows), ("back", [*rows[::-1], {"text": rows[0]["text"]}, {"text": " \n"}]))]  # fmt: skip
    parts = [[{one.text for one in corpus.documents(part, 10**6)} for part in PARTS] for corpus in there]
    assert parts[0] == parts[1]
    assert sum(map(len, parts[0])) == len(set().union(*parts[0])) == 2_000
    assert len(parts[0][PARTS.index("pretraining")]) == pytest.approx(600, abs=80)
    assert len(parts[0][PARTS.index("capture")]) == pytest.approx(560, abs=80)
    fewer = there[0].documents("capture", 5)
    assert fewer == there[0].documents("capture", 500)[:5], "fewer are the beginning of more"
    assert there[0].content_hash() != there[1].content_hash()


def test_nothing_is_kept_for_a_base_that_is_not_trained(tmp_path: Path) -> None:
    corpus = FileCorpus(path=str(_lines(tmp_path / "a.jsonl", _texts(50))), pretraining=0)
    with pytest.raises(ValueError, match=r"^corpus: \S+a.jsonl has no document for pretraining; allowed: more texts"):
        corpus.documents("pretraining", 1)


def test_reviews_of_parts_are_far_apart() -> None:
    first = [ReviewCorpus().documents(part, 1)[0].document_id for part in PARTS]
    assert len(set(first)) == len(PARTS)
    assert first[PARTS.index("pretraining")] == "review/0/0"


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl", "jsonl.gz"])
def test_a_column_of_any_kind_of_file_is_the_same_corpus(tmp_path: Path, kind: str) -> None:
    rows = [{"name": "x", "body": 'Line one,\n"two"\tand é.'}, {"name": "y", "body": "Other."}]
    path, frame = tmp_path / f"texts.{kind}", pl.DataFrame(rows)
    if kind.startswith("jsonl"):
        text = "\ufeff" + "\r\n".join(json.dumps(row) for row in rows) + "\r\n\r\n"
        path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    elif kind == "parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="," if kind == "csv" else "\t", include_bom=True)
    entry = FileCorpus(path=path.name, text="body", id="name").beside(tmp_path, "corpora.a")
    assert list(entry.texts()) == [(row["name"], row["body"]) for row in rows]


def test_a_folder_of_texts(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, text in (("b.txt", "two"), ("in/a.txt", "\ufeffone"), ("c.md", "none")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert list(FolderCorpus(path=str(tmp_path)).texts()) == [("b.txt", "two"), ("in/a.txt", "one")]
    (tmp_path / "d.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"^corpus: \S+d.txt cannot be read \('utf-8' codec"):
        FolderCorpus(path=str(tmp_path)).documents("tuning", 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", r"^a.jsonl: no row; allowed: at least one$"),
        ("a.jsonl", b"\r\n\n", r"^a.jsonl: no row; allowed: at least one$"),
        ("a.jsonl", b'{"text": "x"}\n3\n', r"^a.jsonl line 2: '3'; allowed: an object$"),
        ("a.jsonl", b'{"text": "x"}\n{"text"', r"^a.jsonl line 2: no JSON \("),
        ("a.jsonl", b'{"text": "\xff"}', r"^a.jsonl line 1: no JSON \("),
        ("a.jsonl", b'{"body": "x"}', r"^a.jsonl line 1: no column 'text'; allowed: body$"),
        ("a.jsonl", b'{"text": 3}', r"^a.jsonl line 1: text is '3'; allowed: text$"),
        ("a.jsonl", b'{"text": " "}', r"^corpus: 0 documents without a character"),
        ("a.csv", b"text\n\xff", r"^a.csv: cannot be read \("),
        ("a.csv", b"", r"^a.csv: cannot be read \("),
        ("a.csv", b"text\n", r"^a.csv: no row; allowed: at least one$"),
        ("a.csv", b"body\nx\n", r"^a.csv row 1: no column 'text'; allowed: body$"),
        ("a.parquet", b"PAR1", r"^a.parquet: cannot be read \("),
        ("a.jsonl.gz", b"\x1f\x8b", r"^a.jsonl.gz: cannot be read \("),
        ("a.jsonl.gz", b"no gzip", r"^a.jsonl.gz: cannot be read \("),
    ],
)
def test_files_that_are_not_right(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as failure:
        FileCorpus(path=str(tmp_path / name)).documents("tuning", 1)
    assert "\n" not in str(failure.value)


def test_ids_are_unique_and_text(tmp_path: Path) -> None:
    path = _lines(tmp_path / "a.jsonl", [{"id": 1, "text": "x"}, {"id": 1, "text": "y"}])
    with pytest.raises(ValueError, match=r"^corpus: document_id 'a.jsonl/1' occurs twice; allowed: unique ids$"):
        FileCorpus(path=str(path), id="id").documents("tuning", 1)
    with pytest.raises(ValueError, match=r"^a.jsonl line 1: no column 'key'; allowed: id, text$"):
        FileCorpus(path=str(path), id="key").documents("tuning", 1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("words.tsv", "word\tvalence\nGood\t1.5\tmore\nbad\t-2\n"),
        ("words.tsv", "\ufeffgood\t1.5\r\n\r\nbad\t-2\r\nGOOD\t1.5\r\n"),
        ("words.csv", 'word,valence\n"good",1.5\nbad,-2'),
    ],
)
def test_a_lexicon_of_ones_own(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert dict(read_lexicon(tmp_path / name).valences) == {"good": 1.5, "bad": -2.0}
    entry = LexiconEntry(path=name, scale=2.0).beside(tmp_path, "rewards.a")
    assert entry.reward()(["Good, GOOD and bad", ""]).tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"^lexicon: w.tsv has 0 entries and no word of letters"),
        (b":)\t2\n", r"^lexicon: w.tsv has 1 entries and no word of letters"),
        (b"good\t1\ngood\t2\n", r"^lexicon: w.tsv line 2: 'good' has 1 and 2; allowed: one$"),
        (b"good\t1\nGood\t2\n", r"^lexicon: w.tsv line 2: 'good' has 1 and 2; allowed: one$"),
        (b"word\tx\ngood\tx\n", r"^lexicon: w.tsv line 2: 'good\\tx'; allowed: a word and a finite number$"),
        (b"good\t1\nbad\tnan\n", r"^lexicon: w.tsv line 2: 'bad\\tnan'; allowed"),
        (b"good\t1\nbad\t-inf\n", r"^lexicon: w.tsv line 2: "),
        (b"good 1\n", r"^lexicon: w.tsv line 1: 'good 1'; allowed: a word and a finite number$"),
        (b"\t1\n", r"^lexicon: w.tsv line 1: "),
        (b"good\t\xff\n", r"^lexicon: w.tsv cannot be read \("),
    ],
)
def test_lexicons_that_are_not_right(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "w.tsv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_lexicon(tmp_path / "w.tsv")


def test_scores_rank_the_best_answer_against_the_worst(tmp_path: Path) -> None:
    rows = [("Q:", "good", 2), ("Q:", "bad", "-1.5"), ("Q:", "so so", 0), ("R:", "one", 1), ("R:", "two", 1)]
    path = _lines(tmp_path / "s.jsonl", [dict(zip(("prompt", "response", "score"), row, strict=True)) for row in rows])
    found = scored_preferences(ScoresEntry(path=str(path)))
    assert found.pairs == (PreferenceText("Q:", " good", " bad"),)
    assert found.left_out == {"scored alike": 1}


@pytest.mark.parametrize("score", ["nan", "inf", "", "good", None, True])
def test_scores_are_numbers(tmp_path: Path, score: object) -> None:
    path = _lines(tmp_path / "s.jsonl", [{"prompt": "Q", "response": "a", "score": score}])
    with pytest.raises(ValueError, match=r"^s.jsonl line 1: score is '.*'; allowed: a finite number$"):
        scored_preferences(ScoresEntry(path=str(path)))


TALK = "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Why\n\nAssistant:"


def _said(*contents: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[at % 2], "content": one} for at, one in enumerate(contents)]


def _pairs(folder: Path, *rows: dict[str, Any]) -> PreferenceFile:
    return PreferenceFile(path=str(_lines(folder / "p.jsonl", list(rows))))


def test_pairs_of_every_shape(tmp_path: Path) -> None:
    found = _pairs(
        tmp_path,
        {"prompt": "Say", "chosen": "yes", "rejected": " no"},
        {"prompt": "Say:\n", "chosen": "Say:\nyes", "rejected": "Say:\nno"},
        {"chosen": TALK + " So.", "rejected": TALK + " So what"},
        {"chosen": "The film is good", "rejected": "The film is goofy"},
        {"prompt": "Hi", "chosen": _said("Hi", "Yes?", "Why", "So."), "rejected": _said("Hi", "Yes?", "Why", "No.")},
        {"prompt": "Hi", "chosen": _said("Hi", "Yes"), "rejected": _said("Hi", "No")},
    ).read()
    assert found.pairs == (
        PreferenceText("Say", " yes", " no"),
        PreferenceText("Say:\n", "yes", "no"),
        PreferenceText(TALK, " So.", " So what"),
        PreferenceText("The film is", " good", " goofy"),
        PreferenceText(TALK, " So.", " No."),
        PreferenceText("\n\nHuman: Hi\n\nAssistant:", " Yes", " No"),
    )
    assert found.left_out == {}


def test_pairs_that_say_nothing_are_left_out_and_counted(tmp_path: Path) -> None:
    good = {"prompt": "Say", "chosen": "yes", "rejected": "no"}
    found = _pairs(
        tmp_path, good, good, good | {"rejected": "yes "}, good | {"chosen": " "}, good | {"prompt": "\n"},
        {"chosen": "yes", "rejected": "no"}, good | {"chosen": _said("a", "b"), "rejected": _said("c", "d")},
    ).read()  # fmt: skip
    assert len(found.pairs) == 1
    assert found.left_out == {
        "there before": 1, "equal": 1, "empty": 1, "without a prompt": 2, "different before the last message": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a", "chosen": "b"}, r"^p.jsonl line 1: no column 'rejected'; allowed: prompt, chosen$"),
        ({"prompt": 3, "chosen": "b", "rejected": "c"}, r"^p.jsonl line 1: prompt is '3'; allowed: text$"),
        ({"prompt": "a", "chosen": None, "rejected": "c"}, r"^p.jsonl line 1: chosen is 'None'; allowed: text$"),
        ({"chosen": ["b"], "rejected": ["c"]}, r"^p.jsonl line 1: chosen holds 'b'; allowed: messages of role and con"),
        ({"chosen": _said("a"), "rejected": 3}, r"^p.jsonl line 1: rejected is '3'; allowed: a list of messages"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, r"^preferences: p.jsonl has no pair .* \(1 equal\)$"),
    ],
)
def test_pairs_that_are_not_right(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _pairs(tmp_path, row).read()


def test_a_prompt_is_in_one_part(tmp_path: Path) -> None:
    rows = [{"prompt": f"Say {at % 50}", "chosen": f"yes {at}", "rejected": "no"} for at in range(200)]
    found = _pairs(tmp_path, *rows).read()
    tuning, probe = found.part("tuning"), found.part("probe")
    assert len(tuning) + len(probe) == 200
    assert not {one.prompt for one in tuning} & {one.prompt for one in probe}
    assert 4 <= len(probe) <= 80


def test_pairs_are_cut_to_what_a_model_reads() -> None:
    tokenizer = train_tokenizer(["some words and more words"] * 2, 262)
    pairs = [PreferenceText("a" * 50, " yes", " no"), PreferenceText("b", " same" + "x" * 9, " same" + "x" * 9 + "y")]
    (kept,) = encoded_pairs(tokenizer, pairs, 16)
    assert tokenizer.decode(kept.prompt) == "a" * 8
    assert tokenizer.decode(kept.chosen) == " yes"
    with pytest.raises(ValueError, match=r"^preferences: none of 1 pairs differs in its first 8 tokens$"):
        encoded_pairs(tokenizer, pairs[1:], 16)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    tokenizer = train_tokenizer(["good and bad words"] * 2, 262)

    def saved(labels: int) -> Path:
        torch.manual_seed(labels)
        sizes = {"vocab_size": 262, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = GPTNeoXConfig(**sizes, intermediate_size=16, max_position_embeddings=16, num_labels=labels)
        folder = tmp_path_factory.mktemp("classifier")
        GPTNeoXForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return saved


def test_a_classifier_is_a_reward(classifier: Callable[[int], Path]) -> None:
    folder = classifier(1)
    reward = ClassifierEntry(model=folder.name, scale=0.01).beside(folder.parent, "rewards.a").reward("cpu")
    texts = ["good", "a much longer text that is cut to what the model reads", ""]
    found = reward(texts)
    assert found.shape == (3,)
    assert np.allclose(found, [reward([text])[0] for text in texts], atol=1e-4), "padding does not matter"
    again = ClassifierEntry(model=str(folder), scale=0.02).reward("cpu")
    assert np.allclose(again(texts) * 2, found, atol=1e-4)
    assert again.content_hash() != reward.content_hash()


def test_a_classifier_of_several_labels_gives_log_odds(classifier: Callable[[int], Path]) -> None:
    folder = classifier(2)
    first, second = (ClassifierEntry(model=str(folder), label=f"LABEL_{at}").reward("cpu") for at in (0, 1))
    assert np.allclose(first(["good"]), -second(["good"]))
    with pytest.raises(ValueError, match=r"^reward: label None of '\S+' is not known; allowed: LABEL_0, LABEL_1$"):
        ClassifierEntry(model=str(folder)).reward("cpu")


def test_a_model_without_a_trained_head_is_no_reward(classifier: Callable[[int], Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^reward: '\S+' cannot be loaded \("):
        ClassifierEntry(model=str(tmp_path)).reward("cpu")
    folder = classifier(1)
    model = GPTNeoXForSequenceClassification.from_pretrained(folder)
    model.base_model.save_pretrained(folder)
    with pytest.raises(ValueError, match=r"^reward: '\S+' has no weights for score.weight; allowed: a model trained"):
        ClassifierEntry(model=str(folder)).reward("cpu")
