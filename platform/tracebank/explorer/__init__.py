"""The explorer: pages and an API over every trace. Both read the relational store alone, and write users' notes;
only the SQL page and exports open the series store, in a process of their own."""

from typing import Final

LONGEST_TEXT: Final = 100_000
"""Characters of a text of a user that units are read on."""
