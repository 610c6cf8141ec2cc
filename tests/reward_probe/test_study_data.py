"""Data of one's own in a study: what a file may name, what is said before anything runs, and what reading gives."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from tests.docs.fences import blocks
from tests.reward_probe.conftest import SignedCoder
from typer.testing import CliRunner

from tracebank.cli.app import app
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.language_model.architecture import ModelSize
from tracebank_models.language_model.base_training import train_base_model
from tracebank_models.language_model.corpora import FileCorpus
from tracebank_models.language_model.corpus import corpus_frame
from tracebank_models.language_model.lexicon import load_vader_lexicon
from tracebank_models.language_model.loading import LoadedModel, language_model_facts
from tracebank_models.language_model.preference_sets import PreferenceFile, encoded_pairs
from tracebank_models.language_model.product_reviews import ProductReviews
from tracebank_models.language_model.prompts import PromptSource
from tracebank_models.language_model.recipes import RECIPES
from tracebank_models.language_model.rewards import LexiconEntry
from tracebank_models.language_model.training_settings import PPOConfiguration
from tracebank_models.language_model.tuning import TuningTask, tune
from tracebank_models.reward_probe.probe_tables import PREFERENCE, REWARD, ProbedModel
from tracebank_models.reward_probe.study import Study
from tracebank_models.reward_probe.study_file import read_studies
from tracebank_models.reward_probe.study_probes import ProbedReader, StudyProbeSettings, probe_study
from tracebank_models.reward_probe.study_report import study_report
from tracebank_models.reward_probe.study_triples import corpus_triples, triples_of
from tracebank_models.reward_probe.word_probe import WordProbeSettings

BLOCK = next(block for block in blocks() if block.file == "paper.toml")
DIALOGUE = "\n\nHuman: What is it like, number {at}?\n\nAssistant:"


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of the documentation with files of its names: texts, dialogues in Anthropic's shape, words."""
    folder, lexicon = tmp_path_factory.mktemp("study"), load_vader_lexicon()
    reviews = ProductReviews(lexicon, seed=9).documents(1_500)
    _write(folder / "texts.jsonl", [{"text": review.text.split(". ", 2)[2]} for review in reviews])
    talks = [DIALOGUE.format(at=at) for at in range(200)]
    _write(
        folder / "hh.jsonl",
        [{"chosen": f"{talk} It is good.", "rejected": f"{talk} It is {'good.' * (at < 7) or 'bad.'}"}
         for at, talk in enumerate(talks)],
    )  # fmt: skip
    words = "".join(f"{word}\t{value}\n" for word, value in lexicon.word_valences().items())
    (folder / "words.tsv").write_text(f"word\tvalence\n{words}", encoding="utf-8")
    (folder / "paper.toml").write_text(BLOCK.text, encoding="utf-8")
    return folder


@pytest.fixture
def study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir("/")  # paths are of the file, wherever it is read from
    (found,) = read_studies(folder / "paper.toml").values()
    return found


def test_the_study_of_the_documentation_names_its_data(study: Study, folder: Path) -> None:
    data = study.data
    assert data.reward == LexiconEntry(path=str(folder / "words.tsv"))
    assert data.corpus == study.base.corpus == FileCorpus(path=str(folder / "texts.jsonl"))
    assert data.preferences == PreferenceFile(path=str(folder / "hh.jsonl"))
    assert data.lexicon().valence("good") == load_vader_lexicon().valence("good")
    assert study.method == "dpo"
    assert len(study.seeds) == 3


def test_what_its_files_hold_names_it_and_not_where_they_are(study: Study, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (copied,) = read_studies(tmp_path / "paper.toml").values()
    assert copied.data != study.data
    assert copied.data.content_hash() == study.data.content_hash()
    for name in ("texts.jsonl", "words.tsv", "hh.jsonl"):
        shutil.copytree(folder, tmp_path / name[0], dirs_exist_ok=True)
        lines = (folder / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (tmp_path / name[0] / name).write_text("".join(lines[:-1]), encoding="utf-8")
        (changed,) = read_studies(tmp_path / name[0] / "paper.toml").values()
        assert changed.data.content_hash() != study.data.content_hash()


def test_what_it_would_run_is_told_before_anything_runs(folder: Path) -> None:
    found = CliRunner().invoke(app, ["study", "--check", str(folder / "paper.toml")], env={"COLUMNS": "80"})
    assert found.exit_code == 0, found.output
    assert max(map(len, found.output.splitlines())) <= 80
    for said in ("by DPO", "documents of texts.jsonl", "lexicon 'words'", "7 equal", "to tune on"):
        assert said in found.output


def test_a_file_that_is_not_right_is_one_line(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "paper.toml"
    path.write_text(BLOCK.text, encoding="utf-8")
    found = CliRunner().invoke(app, ["study", "--check", str(path)])
    assert found.exit_code == 2
    assert "corpora.texts.path: " in found.output
    short = tmp_path / "short"
    shutil.copytree(folder, short)
    _write(
        short / "texts.jsonl",
        [{"text": json.loads(line)["text"][:200]} for line in (folder / "texts.jsonl").open(encoding="utf-8")],
    )
    with pytest.raises(ValueError, match=r"^studies.\S+: corpus: no document for tuning has more than 200 characters"):
        study_report(next(iter(read_studies(short / "paper.toml").values())))
    wrong = dataclasses.replace(next(iter(read_studies(folder / "paper.toml").values())), own_effort=None)
    with pytest.raises(ValueError, match=r"^studies.\S+: documents: 2,000 are asked for, and the corpus has \d+ to"):
        study_report(wrong)


def test_reading_feeds_base_tuning_capture_and_probes(
    study: Study, signed: SignedCoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data, effort = study.data, study.effort
    size = ModelSize(hidden_size=16, layers=2, attention_heads=2, vocabulary_size=2_048, context_length=128)
    monkeypatch.setattr("tracebank_models.language_model.base_training.model_size", lambda name: size)
    recipe = dataclasses.replace(
        RECIPES["small"], pretraining=dataclasses.replace(RECIPES["small"].pretraining, steps=2, warmup_steps=0)
    )
    made = train_base_model(recipe, study.base.corpus)
    rows = made.model.get_input_embeddings().num_embeddings
    assert len(made.tokenizer) == rows < size.vocabulary_size, "450 texts have fewer tokens than the size of the ladder"
    loaded = LoadedModel(made.model.eval(), made.tokenizer, language_model_facts(made.model, made.tokenizer, "mine"))
    documents, reward = data.documents("tuning", 50), data.reward_function("cpu")
    texts = data.pairs("tuning")
    assert texts
    task = TuningTask(reward, documents, data.documents("evaluation", 20), texts)
    dpo = dataclasses.replace(effort.dpo, steps=1, batch_size=8, held_out_prompts=4)
    tuned = tune(loaded, task, dpo, tmp_path)
    assert (tuned.curve.height, tuned.pairs) == (1, len(texts))
    ppo = PPOConfiguration(steps=1, batch_size=4, minibatch_size=4, epochs=1, held_out_prompts=4)
    assert tune(loaded, task, ppo, tmp_path).curve.height == 1
    captured = [document.text for document in data.documents("capture", effort.documents)]
    assert TokenCorpus.from_texts(captured, loaded.tokenizer, max_tokens=effort.max_tokens).documents == len(captured)
    lexicon, subject = data.lexicon(), ProbedModel(study.key, study.name, 0, "mine", {"layers.0.mlp": "d"})
    pairs = encoded_pairs(loaded.tokenizer, data.pairs("probe") or [], 128)
    prompts = PromptSource(loaded.tokenizer, corpus_frame(data.documents("emission", 20)))
    reader = ProbedReader(subject, loaded.model, loaded.tokenizer, {"layers.0.mlp": signed}, prompts)
    settings = StudyProbeSettings(WordProbeSettings(repeats=1, draws=50, controls=2), 8, 1)
    triples = triples_of(data, lexicon, 60, seed=0)
    tables = probe_study({"base": reader, "tuned": reader}, triples, lexicon.word_valences(), settings, pairs=pairs)
    assert {REWARD, PREFERENCE} <= set(tables.probes["task"])


def test_triples_of_any_corpus_differ_in_a_word_that_the_corpus_holds(study: Study) -> None:
    lexicon = study.data.lexicon()
    texts = [document.text for document in study.data.documents("triples", 400)]
    found = corpus_triples(texts, lexicon, limit=30, seed=3)
    assert len(found) > 10
    assert found[:5] == corpus_triples(texts, lexicon, limit=5, seed=3)
    known = " ".join(texts).lower()
    for one in found:
        assert texts[one.document].startswith(one.prefix)
        assert lexicon.valence(one.positive) > 0 > lexicon.valence(one.negative)
        assert one.neutral not in lexicon.valences
        assert one.negative in known
        assert one.neutral in known
    assert len({text for one in found for text in one.texts[:1]}) == len(found)
    for wrong, message in (
        (["A lid."], "1 texts hold no word of lexicon 'words'"),
        (["Good or bad."], "1 texts hold no word that stands twice, has 4 letters and no valence"),
        (["A lid. Good."] * 9 + ["A bad lid, kettle kettle.", "A kettle."], "none of 11 first sentences gives one"),
    ):
        with pytest.raises(ValueError, match=rf"^triples: {message}"):
            corpus_triples(wrong, lexicon, limit=1, seed=0)


def test_a_reward_without_words_says_what_stands_in(folder: Path, tmp_path: Path) -> None:
    _write(tmp_path / "scores.jsonl", [{"prompt": f"Say {at}", "response": one, "score": len(one)}
                                       for at in range(120) for one in ("yes", "no")])  # fmt: skip
    (tmp_path / "s.toml").write_text(
        "[rewards.scored]\nkind = 'scores'\npath = 'scores.jsonl'\n[studies.a]\nbase = 'small'\nmethod = 'dpo'\n"
        "reward = 'scored'\ntriples = 5\n", encoding="utf-8",
    )  # fmt: skip
    study = read_studies(tmp_path / "s.toml")["a"]
    told = dict(study_report(study))
    assert told["reward"] == "scores of scores.jsonl: they rank its answers; other texts have the reward of the words"
    assert told["words"].endswith("words of lexicon 'vader'")
    assert sum(int(word) for word in told["pairs"].split() if word.isdigit()) == 120
    assert study.data.reward_function()(["good"]).tolist() == LexiconEntry().reward()(["good"]).tolist()


STUDY = "[studies.a]\nbase = 'small'\nmethod = 'dpo'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[corpora.a]\npath = 'x'",
         r"^corpora.a.kind: None is not allowed; allowed: one of product_reviews, folder, file$"),
        ("[corpora.a]\nkind = 'files'\npath = 'x'", r"^corpora.a.kind: 'files' is not allowed; allowed: one of"),
        ("[corpora.a]\nkind = 'file'", r"^corpora.a.path: missing$"),
        ("[corpora.a]\nkind = 'file'\npath = 'x.jsonl'", r"^corpora.a.path: '\S+x.jsonl' is no file$"),
        ("[corpora.a]\nkind = 'file'\npath = 's.toml'", r"^corpora.a.path: 's.toml' is not allowed; allowed: .jsonl,"),
        ("[corpora.a]\nkind = 'folder'\npath = 's.toml'", r"^corpora.a.path: '\S+s.toml' is no folder$"),
        ("[corpora.a]\nkind = 'file'\npaht = 'x'", r"^corpora.a.paht: not known; did you mean path\?$"),
        ("[corpora.a]\nkind = 'file'\npath = 's'\npretraining = 1.0", r"^corpora.a.pretraining: 1.0 is not allowed; "),
        ("[corpora]\na = 3", r"^corpora.a.kind: None is not allowed"),
        ("[corpora.product_reviews]\nkind = 'folder'\npath = '.'", r"^corpora: 'product_reviews' is taken by another"),
        ("[rewards.a]\nkind = 'lexicon'\nscale = 0.0", r"^rewards.a.scale: 0.0 is not allowed; allowed: a number > 0"),
        ("[rewards.a]\nkind = 'lexicon'\nscale = nan", r"^rewards.a.scale: nan is not allowed; allowed: a number"),
        ("[rewards.a]\nkind = 'classifier'", r"^rewards.a.model: missing$"),
        ("[preferences.a]\nkind = 'hh'", r"^preferences.a.kind: 'hh' is not allowed; allowed: one of sampled, file$"),
        (STUDY + "reward = 'x'", r"^studies.a.reward: 'x' is not known: one of vader$"),
        (STUDY + "words = 'x'", r"^studies.a.words: 'x' is not known: one of vader$"),
        (STUDY + "corpus = 'x'", r"^studies.a.corpus: 'x' is not known: one of product_reviews$"),
        (STUDY + "preferences = 'x'", r"^studies.a.preferences: 'x' is not known: one of sampled$"),
        (STUDY + "rewards = 'x'", r"^studies.a.rewards: not known; did you mean reward\?$"),
        ("[models.a]\nsource = 'small'\ncorpus = 'x'", r"^models.a.corpus: 'x' is not known: one of product_reviews$"),
        ("[models.a]\nsource = 'small'\n[models.a.pretraining]\nsteps = 0",
         r"^models.a.pretraining.steps: 0 is not allowed; allowed: a whole number from 1"),
        ("[models.a]\nsource = 'b/c'\n[models.a.pretraining]\nsteps = 1", r"^models.a.pretraining: \{'steps': 1\} is"),
        ("[models.a]\nsource = 'b/c'\ncorpus = 'product_reviews'", r"^models.a.corpus: 'product_reviews' is not allow"),
        ("[rewards.x]\nkind = 'scores'\npath = 'x.csv'\n[studies.a]\nbase = 'small'\nmethod = 'ppo'\nreward = 'x'",
         r"^studies.a.reward: 'x' is not allowed: ppo asks for the reward of texts of its own$"),
        ("[preferences.x]\nkind = 'file'\npath = 'x.csv'\n" + STUDY.replace("dpo", "ppo") + "preferences = 'x'",
         r"^studies.a.preferences: 'x' is not allowed: ppo learns from no pairs$"),
    ],
)  # fmt: skip
def test_what_entries_may_not_say(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.csv").touch()
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_studies(tmp_path / "s.toml")
