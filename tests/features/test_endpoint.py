"""The endpoint explainer against a local double that speaks chat completions."""

from __future__ import annotations

from typing import Any

import pytest
from tests.endpoint_double import Double

from tracebank_models.features.endpoint_explainer import EndpointExplainer, ExampleText, explanation_prompt

EXAMPLES = [ExampleText(["so", " good"], [0.0, 4.0]), ExampleText(["a"] * 9 + [" fine"], [-1.0] * 9 + [2.0])]


def test_prompt_and_answer_are_kept_with_their_hash(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPLAINER_KEY", "secret-key")
    double.says("It fires on praise.")
    explainer = EndpointExplainer(double.url, "some-model", key_variable="EXPLAINER_KEY")
    found = explainer.explain(EXAMPLES)
    ((path, headers, body),) = double.asked
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret-key"
    assert body == {
        "model": "some-model",
        "temperature": 0,
        "messages": [{"role": "user", "content": explanation_prompt(EXAMPLES)}],
    }
    assert (found.prompt, found.answer) == (explanation_prompt(EXAMPLES), "It fires on praise.")
    assert len(found.hash) == 64
    double.says("It fires on food.")
    assert explainer.explain(EXAMPLES).hash != found.hash
    assert "secret-key" not in repr(vars(explainer)) + repr(found)


def test_no_key_is_sent_where_there_is_none(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    double.says("x")
    EndpointExplainer(double.url + "/", "m").ask("?")
    assert "Authorization" not in double.asked[0][1]
    assert double.asked[0][0] == "/v1/chat/completions"


def test_the_prompt_scales_and_names_rare_tokens_again() -> None:
    prompt = explanation_prompt(EXAMPLES)
    assert "Text 1: 'so' 0, ' good' 10" in prompt
    assert "Tokens of text 2 that it fires on: ' fine' 5" in prompt
    assert "Tokens of text 1" not in prompt
    with pytest.raises(ValueError, match="never fires"):
        explanation_prompt([ExampleText(["a"], [0.0])])


def test_detection_gives_precision_recall_and_f1(double: Double) -> None:
    double.says("[1, 1, 0, 0]")
    found = EndpointExplainer(double.url, "m").detect("praise", ["a", "b", "c", "d"], [True, False, True, False])
    assert (found.precision, found.recall, found.f1, found.accuracy) == (0.5, 0.5, 0.5, 0.5)
    assert found.exchange.answer == "[1, 1, 0, 0]"


def test_relation_to_the_target(double: Double) -> None:
    double.says(" 1.\n")
    assert EndpointExplainer(double.url, "m").related("praise", "sentiment")[0] is True
    double.says("maybe")
    with pytest.raises(ValueError, match=r"^answer: 'maybe' is not allowed: 1 or 0"):
        EndpointExplainer(double.url, "m").related("praise", "sentiment")


def test_a_busy_endpoint_is_asked_again(double: Double) -> None:
    double.answers.append((503, {}))
    double.says("now")
    assert EndpointExplainer(double.url, "m").ask("?").answer == "now"
    assert len(double.asked) == 2


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (401, {}, "answered 401: allowed is 200"),
        (503, {}, "gave no answer"),
        (200, b"<html>", "allowed is a chat completion"),
        (200, {"choices": []}, "allowed is a chat completion"),
    ],
)
def test_bad_answers_are_one_clear_line(double: Double, status: int, answer: Any, message: str) -> None:
    double.answers.append((status, answer))
    with pytest.raises(ValueError, match=message) as failure:
        EndpointExplainer(double.url, "m", retries=0).ask("?")
    assert "\n" not in str(failure.value)


def test_bad_detections_and_addresses_are_refused(double: Double) -> None:
    double.says("[1]")
    with pytest.raises(ValueError, match="a JSON list of 2 digits"):
        EndpointExplainer(double.url, "m").detect("x", ["a", "b"], [True, False])
    with pytest.raises(ValueError, match=r"^texts: 1 with 0 of 1 firing"):
        EndpointExplainer(double.url, "m").detect("x", ["a"], [False])
    with pytest.raises(ValueError, match=r"^texts: 2 with 2 of 2 firing"):
        EndpointExplainer(double.url, "m").detect("x", ["a", "b"], [True, True])
    with pytest.raises(ValueError, match=r"^url: 'ftp://x' is not allowed"):
        EndpointExplainer("ftp://x", "m")
