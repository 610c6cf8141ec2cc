"""What the stores cost: how it grows with rows and partitions (`slope`), and figures held against what is wanted of
them (`promises`). Everything goes through the public API and commands."""
