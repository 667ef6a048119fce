"""The client's end of a tunnel (-w, Tunnel and TunnelDevice of ssh_config(5))."""

from qsh.config.client_settings import ClientSettings
from qsh.forward import tunnel_device
from qsh.forward.tunnel import Device
from qsh.net.channel import Channel
from qsh.net.connection import Connection
from qsh.wire.forward_messages import ANY_UNIT, ETHERNET, POINT_TO_POINT, TunnelOpen


def open_device(settings: ClientSettings) -> Device:
    """The device of this side. Raises OSError."""
    unit, mode = settings.tunnel_device[0], _mode(settings)
    descriptor, name = tunnel_device.open_device(mode, ANY_UNIT if unit is None else unit)
    return Device(descriptor, name, mode, _resize)


def ask(connection: Connection, settings: ClientSettings) -> Channel:
    """Ask for the device of the other side."""
    unit = settings.tunnel_device[1]
    return connection.open_channel(
        TunnelOpen(_mode(settings), ANY_UNIT if unit is None else unit)
    )


async def _resize(name: str, size: int) -> None:
    tunnel_device.set_size(name, size)


def _mode(settings: ClientSettings) -> int:
    return ETHERNET if settings.tunnel == "ethernet" else POINT_TO_POINT
