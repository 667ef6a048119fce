"""Everything that awaits: sockets, the driver, connections and channels."""
