"""Alembic's script folder for the relational store; `tracebank db upgrade` runs it."""
