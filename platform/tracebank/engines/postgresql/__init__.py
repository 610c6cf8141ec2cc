"""PostgreSQL, and TimescaleDB on it."""
