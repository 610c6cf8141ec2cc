"""Pages of results: what the groups' views say."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
