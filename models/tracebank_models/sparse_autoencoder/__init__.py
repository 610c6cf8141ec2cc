"""Sparse autoencoders and crosscoders: training from a stream of activations, their files, and their metrics."""
