"""Local training of the two networks, and the warm start that comes before it."""
