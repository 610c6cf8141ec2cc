"""Forecasting the order book: models from windows of ticks to returns some ticks on, their training, use and scores.

Nothing here knows of stores or of trading. A model is a `torch.nn.Module` of one small interface (`registry`); `train`
makes a `TrainedForecaster`, which forecasts stored ticks and live ones alike.
"""
