"""Records of CounterFact and zsRE: what becomes of good ones, and one line for each that is not."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tests.counterfact.cases import case, counterfact_record, zsre_record

from tracebank_models.counterfact import records_file as records_file_module
from tracebank_models.counterfact.records import EditCase, checked_cases, read_cases
from tracebank_models.counterfact.records_file import records_file


def _changed(record: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A record with another value at a path such as `requested_rewrite.target_new.str`; None takes the field away."""
    changed = json.loads(json.dumps(record))
    *way, last = path.split(".")
    inner = changed
    for name in way:
        inner = inner[name]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return changed


def test_a_record_of_counterfact_and_its_plus_prompts(tmp_path: Path) -> None:
    path = tmp_path / "counterfact.json.gz"
    path.write_bytes(gzip.compress(json.dumps([counterfact_record(7), counterfact_record(0, "Bo Lee")]).encode()))
    found = read_cases(path)
    assert found.refused.is_empty()
    assert [one.case_id for one in found.cases] == [7, 0]
    assert found.cases[0] == EditCase(
        case_id=7,
        relation="P103",
        subject="Ada Moss",
        prompt="The mother tongue of {} is",
        target_true="Greek",
        target_new="Latin",
        paraphrases=("It rained. Ada Moss spoke", "Ada Moss, a speaker of"),
        neighbors=("The native language of Bo Lee is", "Cy Day is a native speaker of"),
        neighbor_target="Greek",
        attributes=("Di Ray spoke",),
        generation_prompts=("Ada Moss lived in",),
    )
    assert found.cases[0].rewrite == "The mother tongue of Ada Moss is"
    assert found.cases[0].plus_neighbors == (
        "The mother tongue of Ada Moss is Latin. The native language of Bo Lee is",
        "The mother tongue of Ada Moss is Latin. Cy Day is a native speaker of",
    )


def test_a_record_of_zsre_has_a_neighbor_with_an_answer_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "zsre.json"
    path.write_text(json.dumps([zsre_record(), _changed(zsre_record(), "alt", "law")]))
    first, second = read_cases(path).cases
    assert (first.case_id, first.prompt, first.rewrite) == (0, "What did {} study?", zsre_record()["src"])
    assert (first.target_true, first.target_new) == ("maths", "music")
    assert (first.neighbors, first.neighbor_target) == (("nq question: who wrote the iliad?",), "Homer")
    assert (second.case_id, second.target_new) == (1, "law")


_REWRITE = "requested_rewrite"


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (3, "'3' is not allowed; allowed: an object"),
        ({}, f"{_REWRITE}: missing; allowed: a record of CounterFact, or one of zsRE (with src)"),
        (_changed(counterfact_record(), "case_id", "a"), "case_id: 'a' is not allowed; allowed: a whole number"),
        (_changed(counterfact_record(), "case_id", -1), "case_id: -1 is not allowed; allowed: a whole number >= 0"),
        (_changed(counterfact_record(), "paraphrase_prompts", None), "paraphrase_prompts: missing"),
        (_changed(counterfact_record(), f"{_REWRITE}.subject", None), f"{_REWRITE}.subject: missing"),
        (
            _changed(counterfact_record(), f"{_REWRITE}.prompt", "The mother tongue of Ada Moss is"),
            f"{_REWRITE}.prompt: 'The mother tongue of Ada Moss is' is not allowed; allowed: a sentence with one {{}}"
            " where its subject stands",
        ),
        (
            _changed(counterfact_record(), f"{_REWRITE}.target_new.str", " "),
            f"{_REWRITE}.target_new.str: ' ' is not allowed; allowed: text that is not blank",
        ),
        (
            _changed(counterfact_record(), f"{_REWRITE}.target_new.str", " Greek"),
            "target_new: 'Greek' is also target_true; allowed: another",
        ),
        (
            _changed(counterfact_record(), "neighborhood_prompts", ["a", ""]),
            "neighborhood_prompts[1]: '' is not allowed; allowed: text that is not blank",
        ),
        (counterfact_record(1), "case_id: 1 occurs twice; allowed: once"),
        (counterfact_record(2, "Bo Lee"), "says the same as record 0; allowed: each case once"),
        (
            _changed(zsre_record(), "subject", "Ada Mass"),
            "src: 'What did Ada Moss study?' is not allowed; allowed: a question with its subject, 'Ada Mass', in it",
        ),
        (_changed(zsre_record(), "answers", []), "answers: [] is not allowed; allowed: a list of length >= 1"),
    ],
)
def test_a_bad_record_is_one_line_and_the_others_are_read(record: Any, line: str, tmp_path: Path) -> None:
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps([counterfact_record(1, "Bo Lee"), record, counterfact_record(9)]))
    found = read_cases(path)
    assert [one.case_id for one in found.cases] == [1, 9]
    assert found.refused["problem"].to_list() == [f"record 1: {line}"]
    assert found.refused["record"].to_list() == [1]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.json", b"[{]", r"^a.json: JSON is malformed: .*; allowed: a JSON array of records$"),
        ("a.json", b"{}", r"^a.json: Expected `array`, got `object`; allowed: a JSON array of records$"),
        ("a.json", b"\xff", r"^a.json: .*; allowed: a JSON array of records$"),
        ("a.json", b"[]", r"^a.json: no record; allowed: at least one$"),
        ("a.json.gz", b"no gzip", r"^a.json.gz: cannot be read \("),
        ("b.json", None, r"^b.json: cannot be read \("),
    ],
)
def test_a_file_that_is_none_is_one_line(name: str, content: bytes | None, line: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=line) as failure:
        read_cases(tmp_path / name)
    assert "\n" not in str(failure.value)


def test_a_key_is_of_what_is_said() -> None:
    one, other = case(1), case(2)
    assert one.key() == other.key()
    assert len({dataclasses.replace(one, target_new=new).key() for new in ("Latin", "Irish")}) == 2
    assert checked_cases([counterfact_record(1), counterfact_record(1)]).refused.height == 1


def test_a_file_of_the_hub_is_fetched_and_what_is_none_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "counterfact.json"
    there.write_text(json.dumps([counterfact_record()]))

    def fetched(repository: str, file: str, repo_type: str) -> str:
        if (repository, file, repo_type) == ("owner/facts", "data/counterfact.json", "dataset"):
            return str(there)
        raise OSError("no such file\non the Hub")

    monkeypatch.setattr(records_file_module, "hf_hub_download", fetched)
    assert records_file("hf://datasets/owner/facts/data/counterfact.json") == there == records_file(str(there))
    for name, line in (
        ("hf://datasets/owner/facts/b.json", r"^records: the Hub does not give 'hf\S+' \(no such file\); allowed: "),
        ("hf://datasets/owner/facts", r"^records: 'hf\S+' is not allowed; allowed: hf://datasets/OWNER/NAME/PATH$"),
        (str(tmp_path / "a.json"), r"^records: '\S+' is no file; allowed: a JSON file, or hf://datasets/OWNER/"),
    ):
        with pytest.raises(ValueError, match=line):
            records_file(name)
