"""Sharing a connection: OpenSSH's ControlMaster."""
