"""A record of CounterFact and one of zsRE, made up; and a small model that reads bytes."""

from __future__ import annotations

from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from tracebank_models.counterfact.records import EditCase, checked_cases


def counterfact_record(number: int = 7, subject: str = "Ada Moss") -> dict[str, Any]:
    return {
        "case_id": number,
        "pararel_idx": 2796,
        "requested_rewrite": {
            "prompt": "The mother tongue of {} is",
            "relation_id": "P103",
            "subject": subject,
            "target_new": {"str": "Latin", "id": "Q397"},
            "target_true": {"str": "Greek", "id": "Q9129"},
        },
        "paraphrase_prompts": [f"It rained. {subject} spoke", f"{subject}, a speaker of"],
        "neighborhood_prompts": ["The native language of Bo Lee is", "Cy Day is a native speaker of"],
        "attribute_prompts": ["Di Ray spoke"],
        "generation_prompts": [f"{subject} lived in"],
    }


def zsre_record() -> dict[str, Any]:
    return {
        "subject": "Ada Moss",
        "src": "What did Ada Moss study?",
        "pred": "law",
        "rephrase": "Ada Moss is a student of what?",
        "alt": "music",
        "answers": ["maths", "mathematics"],
        "loc": "nq question: who wrote the iliad",
        "loc_ans": "Homer",
        "cond": "maths >> music || What did Ada Moss study?",
    }


def case(number: int = 7, subject: str = "Ada Moss") -> EditCase:
    return checked_cases([counterfact_record(number, subject)]).cases[0]


def byte_model(family: str = "gpt_neox") -> PreTrainedModel:
    """Two layers of width 32, not trained; the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        ends = {"bos_token_id": None, "eos_token_id": None, "vocab_size": 257, "initializer_range": 0.3}
        if family == "gpt2":
            return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=160, **ends)).eval()
        return GPTNeoXForCausalLM(
            GPTNeoXConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=128,
                max_position_embeddings=160,
                **ends,
            )
        ).eval()
