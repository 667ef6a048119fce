"""Forwarding: what rides on channels, the same code on both sides."""
