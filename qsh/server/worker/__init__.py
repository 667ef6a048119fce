"""The side of one connection that speaks QUIC, without rights."""
