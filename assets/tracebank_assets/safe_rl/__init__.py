"""Group `safe_rl`: policies trained with knowledge and without, every step a row, and modes compared over seeds."""
