"""Group `sparse_features`: activations, sparse autoencoders, their features, and what probes read out of them."""
