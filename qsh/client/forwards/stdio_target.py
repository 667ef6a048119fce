"""What -W names, as the channel to open for it."""

from qsh.errors import UsageError


def target_of(text: str) -> object:
    """The channel open for the argument of -W. Raises UsageError."""
    from qsh.config.forward_specs import parse_stdio
    from qsh.wire.forward_messages import DirectStreamlocal, DirectTcpip

    try:
        place = parse_stdio(text)
    except ValueError as error:
        raise UsageError(f"-W: {error}") from None
    if place.path:
        return DirectStreamlocal(place.path)
    return DirectTcpip(place.host or "", place.port, "127.0.0.1", 0)
