"""What signals would have earned on the rows of a book: strategies, two engines, results and what they stand beside.

Nothing here knows of models or stores.
"""
