"""Group `forecasting`: models of the order book, what they forecast, how good that is, what it would have earned."""
