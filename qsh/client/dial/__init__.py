"""Ways to a server, and the choice among them."""
