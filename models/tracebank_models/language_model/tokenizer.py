"""A byte-level BPE tokenizer, trained on a corpus, and the hash that says whether two tokenizers are the same.

Special tokens are those of GPT-NeoX: `<|endoftext|>` (id 0, between documents) and `<|padding|>` (id 1).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

END_OF_TEXT: Final = "<|endoftext|>"
PADDING: Final = "<|padding|>"
_SMALLEST_VOCABULARY = 256 + 2


def train_tokenizer(texts: Iterable[str], vocabulary_size: int = 2048) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer; every string can be encoded and comes back unchanged.

    Args:
        texts: Texts to learn merges from; the same texts in the same order give the same tokenizer.
        vocabulary_size: Most tokens, the two special ones and the 256 bytes included; little text gives fewer.

    Raises:
        ValueError: The size is below 258.
    """
    if vocabulary_size < _SMALLEST_VOCABULARY:
        allowed = f"a whole number from {_SMALLEST_VOCABULARY}"
        raise ValueError(f"vocabulary_size: {vocabulary_size} is not allowed; allowed: {allowed}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_TEXT, PADDING],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        pad_token=PADDING,
        clean_up_tokenization_spaces=False,
    )


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 (hex) of what decides about ids: vocabulary, merges, normaliser, pre-tokenizer, special tokens.

    Truncation and padding settings are left out: they change with use, not with the tokenizer.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        content = json.loads(backend.to_str())
        content.pop("truncation", None)
        content.pop("padding", None)
    else:
        content = {"vocabulary": tokenizer.get_vocab(), "class": type(tokenizer).__name__}
    content = {
        "content": content,
        "special": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def padding_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Id to pad with: the padding token's, else the end of text's (padding is masked everywhere).

    Raises:
        ValueError: The tokenizer has neither.
    """
    for name in ("pad_token_id", "eos_token_id"):
        value = getattr(tokenizer, name)
        if isinstance(value, int):
            return value
    raise ValueError("tokenizer: it has no padding and no end-of-text token; allowed: a tokenizer with one of them")
