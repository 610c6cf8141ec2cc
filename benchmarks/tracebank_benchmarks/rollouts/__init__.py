"""What it costs to record rollouts, beside Minari's recorder."""
