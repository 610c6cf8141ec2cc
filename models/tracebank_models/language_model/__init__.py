"""Causal language models: corpora, tokenizer, pretraining, loading, tuning with a known reward, layer divergence.

Frames and tensors in, frames and tensors out. Activation capture, dictionaries and probes are not here.
"""
