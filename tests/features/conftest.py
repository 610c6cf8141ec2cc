"""One thread, a byte-level tokenizer, a tiny model of its tokens, and an endpoint that says what it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="package")
def tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token, and so is the padding."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<|padding|>")


@pytest.fixture(scope="package")
def model() -> GPTNeoXForCausalLM:
    torch.manual_seed(3)
    config = GPTNeoXConfig(
        vocab_size=257, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, initializer_range=0.3, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    return GPTNeoXForCausalLM(config).eval()


class Double:
    """What it is to answer, and what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.url = ""
        self.judge: Callable[[str], str] | None = None
        """Answers what nothing was said to."""

    def says(self, text: str) -> None:
        self.answers.append((200, {"choices": [{"message": {"content": text}}]}))


@pytest.fixture
def double() -> Iterator[Double]:
    made = Double()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.asked.append((self.path, dict(self.headers), body))
            if not made.answers and made.judge is not None:
                made.says(made.judge(body["messages"][0]["content"]))
            status, answer = made.answers.pop(0)
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()
