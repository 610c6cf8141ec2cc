"""The time-series database suite (2301.12561): the same questions asked of every engine, each answer checked."""
