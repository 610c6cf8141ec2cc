"""The report of a run: one self-contained HTML page with its plots, tables, statuses and advice."""
