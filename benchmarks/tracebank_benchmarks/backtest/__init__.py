"""What backtests cost, and whether fills are those of others, beside vectorbt and hftbacktest."""
