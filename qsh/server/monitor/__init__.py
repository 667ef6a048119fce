"""The privileged side of one connection: judges what its worker asks for."""
