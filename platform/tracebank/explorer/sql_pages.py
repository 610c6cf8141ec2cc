"""The SQL page, and exports."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
