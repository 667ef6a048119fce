"""QUIC as qsh wants it: one sans-IO interface, one file per engine."""
