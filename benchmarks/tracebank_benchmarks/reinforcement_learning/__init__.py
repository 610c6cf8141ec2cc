"""How fast policies learn, beside the library that people know."""
