"""Terminal state without I/O."""
