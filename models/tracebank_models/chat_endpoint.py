"""A client of endpoints that speak OpenAI's chat completions: one question, one answer, at temperature 0.

What is asked is the caller's. Prompt and answer are kept with their hash. The key is read from the environment when it
is needed and never kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any

import urllib3


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and what came back."""

    model: str
    prompt: str
    answer: str

    @property
    def hash(self) -> str:
        """SHA-256 of model, prompt and answer."""
        return hashlib.sha256(json.dumps([self.model, self.prompt, self.answer]).encode()).hexdigest()


class ChatEndpoint:
    """A model behind an endpoint."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key_variable: str = "OPENAI_API_KEY",
        timeout: float = 60.0,
        retries: int = 3,
    ) -> None:
        """Name the endpoint; nothing is asked yet.

        Args:
            url: Up to and without `/chat/completions`, for example `http://localhost:8000/v1`.
            model: The endpoint's name of the model.
            key_variable: Environment variable that holds the key; where it is not set, no key is sent.
            timeout: Seconds for an answer.
            retries: Times that an answer 429 or 5xx, or no connection, is tried again, with growing waits.

        Raises:
            ValueError: The URL is none of http or https.
        """
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url: {url!r} is not allowed: one that begins with http:// or https://")
        self.url, self.model, self._key_variable = url.rstrip("/"), model, key_variable
        again = urllib3.Retry(
            retries, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None, backoff_factor=0.2
        )
        self._pool = urllib3.PoolManager(timeout=timeout, retries=again)

    def ask(self, prompt: str, system: str = "", *, may_be_empty: bool = False) -> Exchange:
        """Ask at temperature 0.

        Args:
            prompt: What the user says.
            system: What is said before it, where the caller's protocol has such a message.
            may_be_empty: Whether an answer without a character is one.

        Raises:
            ValueError: There is no answer, or it is none of a chat completion.
        """
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self._key_variable):
            headers["Authorization"] = f"Bearer {key}"
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": prompt})
        body = {"model": self.model, "temperature": 0, "messages": messages}
        target = f"{self.url}/chat/completions"
        try:
            response = self._pool.request("POST", target, body=json.dumps(body), headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise ValueError(f"endpoint: {target} gave no answer ({type(error).__name__})") from None
        if response.status != 200:
            raise ValueError(f"endpoint: {target} answered {response.status}: allowed is 200")
        return Exchange(self.model, prompt, _content(response.data, target, may_be_empty))


def _content(data: bytes, target: str, may_be_empty: bool) -> str:
    try:
        found: Any = json.loads(data)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        found = None
    if not isinstance(found, str) or not (found.strip() or may_be_empty):
        raise ValueError(f"endpoint: {target} answered {data[:80]!r}: allowed is a chat completion with a text")
    return found
