"""What a language model computes inside: hook sites, capture in one forward pass, and shards of it on disk."""
