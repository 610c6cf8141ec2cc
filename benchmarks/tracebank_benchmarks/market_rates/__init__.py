"""Rates of market data: reading, writing and simulating, measured against bare libraries."""
