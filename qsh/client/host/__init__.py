"""Is this the right host? What it proves, and what is known of it."""
