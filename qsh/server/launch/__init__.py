"""The processes that fork for the listener, and the one that holds the host's keys."""
