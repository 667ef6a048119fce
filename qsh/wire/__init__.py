"""The protocol without I/O: bytes in, events and bytes out. See PROTOCOL.md."""
