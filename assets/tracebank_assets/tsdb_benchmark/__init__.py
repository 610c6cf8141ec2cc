"""Assets of the time-series database suite: its data, its runs by engine and scale, its report."""
