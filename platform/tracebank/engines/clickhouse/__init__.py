"""ClickHouse, in a process of its own on this machine or on a server: one dialect and one way."""
