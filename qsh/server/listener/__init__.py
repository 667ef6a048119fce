"""The process that owns the port: whose is this packet, and who may begin."""
