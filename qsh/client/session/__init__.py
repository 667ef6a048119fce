"""A session at the user's side: terminal, escapes, and what outlives a connection."""
