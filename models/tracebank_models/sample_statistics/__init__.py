"""Statistics over stored samples: means with intervals that know of clusters and overlap, and two runs compared.

Plain functions of NumPy arrays and polars frames; no model and no store is known here.
"""
