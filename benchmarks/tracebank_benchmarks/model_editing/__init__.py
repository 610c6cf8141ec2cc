"""How fast values of facts are found, beside a loop over facts as the papers have it."""
