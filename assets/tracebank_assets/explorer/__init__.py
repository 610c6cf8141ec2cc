"""Group `explorer`: what pages and API show, as rows of the relational store that are read at once."""
