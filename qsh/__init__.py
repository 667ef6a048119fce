"""qsh: a remote shell and port forwarder over QUIC. Importing this costs nothing."""

__version__ = "0.1.0"
