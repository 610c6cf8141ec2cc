"""What it costs to make graphs of neurons and features, and to compare them."""
