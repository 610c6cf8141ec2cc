"""Pages of the ledger: which rows came from which run of which code."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
