"""The API over units, in DeepDecipher's routes and shapes."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
