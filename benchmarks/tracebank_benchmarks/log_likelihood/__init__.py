"""What scoring of continuations costs, beside lm-eval."""
