"""One SQL over both stores, read-only: which statements are let through, how the relational store is shown, and how
answers come back. Writing rows is the stores' business."""
