"""How fast the explorer answers, and whether it ever fails: a store of many units, served and driven on loopback."""
