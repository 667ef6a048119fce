"""`--doctor`: what of the way to a server works."""
