"""Engines that may hold the series, a folder each: its store, DDL, queries and the guard of them."""
