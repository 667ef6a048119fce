"""The user's side: the session that outlives connections, and the opener of sockets."""
