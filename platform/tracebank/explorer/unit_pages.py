"""Pages of models, units, search and comparison."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
