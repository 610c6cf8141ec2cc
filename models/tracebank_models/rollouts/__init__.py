"""Steps of vector environments as columns: a row for each step of each environment, in frames, and Minari's datasets.

Nothing here loops over steps' rows or environments: a frame is made of whole arrays.
"""
