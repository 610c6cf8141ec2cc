"""Statistics over stored samples: means with intervals that know of clusters, paired differences, two runs compared.

Plain functions of NumPy arrays and polars frames; no model and no store is known here.
"""
