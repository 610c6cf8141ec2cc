"""DuckDB: series tables in one file."""
