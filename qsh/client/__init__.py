"""qsh, the client program."""
