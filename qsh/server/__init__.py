"""qshd, the daemon."""
