"""Training sparse autoencoders, measured against the libraries that others use."""
