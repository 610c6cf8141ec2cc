"""A text that a user types, and which units fire on it."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
