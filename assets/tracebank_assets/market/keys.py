"""Names that the modules of group `market` share."""

import dagster as dg

GROUP = "market"


def market_key(noun: str) -> dg.AssetKey:
    """Key of an asset of this group."""
    return dg.AssetKey([GROUP, noun])


SYNTHETIC_DAY = market_key("synthetic_day")
RAW_FILES = market_key("raw_files")
