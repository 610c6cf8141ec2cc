"""Editing facts into the weights of a language model: where, with which vectors, by which editor, and back again.

What is asked of an edited model, and which facts are edited, is not here.
"""
