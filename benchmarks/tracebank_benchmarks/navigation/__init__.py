"""What planar navigation costs."""
