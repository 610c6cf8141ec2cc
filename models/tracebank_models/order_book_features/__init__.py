"""Rows of an order book as what forecasts and trades are made from: prices, features, targets, windows and splits.

Nothing here knows of models, strategies or stores.
"""
