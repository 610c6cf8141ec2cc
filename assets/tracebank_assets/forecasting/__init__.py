"""Group `forecasting`: what the order book foretells, and what trading on it earns."""
