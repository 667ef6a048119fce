"""Forwards as the command line and the configuration ask for them."""
