"""How fast forecasters train and forecast, beside the paper's form of the same function and peers."""
