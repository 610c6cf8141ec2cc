"""Log-likelihoods of continuations under any causal language model: pairs of token ids in, finished batches out.

How texts become items of an evaluation, and what is made of the scores, is not here.
"""
