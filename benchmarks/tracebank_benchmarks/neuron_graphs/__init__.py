"""How fast graphs of units are made, beside a slow loop that makes the same ones, and compared with each other."""
