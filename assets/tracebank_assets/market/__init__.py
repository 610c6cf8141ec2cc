"""Group `market`: files that came in, and the trades, quotes, books and bars made of them."""
