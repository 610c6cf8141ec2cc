"""CounterFact+: facts that are edited into models one by one or one after another, and what else moves with them.

How weights are edited is `model_editing`'s; here are the records, a world of made-up ones, scores, runs and summaries.
"""
