"""First-order knowledge about states: formulas as text and as objects, and how far a state satisfies them.

Nothing here knows of environments or learners. Arrays are NumPy's or torch's, whose gradients pass through.
"""
