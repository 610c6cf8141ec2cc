"""Migrations, one module per revision, in order of their number."""
