"""-O forward and -O cancel: the forwards of a shared connection, changed by its clients."""

from qsh.client.forwards.forwards import Forwards
from qsh.client.master import mux_wire as wire
from qsh.client.master.mux_wire import Fields
from qsh.config.forward_specs import ForwardSpec, Place
from qsh.errors import DecodeError

KINDS = (wire.LOCAL, wire.REMOTE, wire.DYNAMIC)


async def change(forwards: Forwards, fields: Fields, *, cancel: bool) -> int:
    """Open or close what the request names; the port that the server chose, or 0. Raises
    QshError."""
    kind, spec = read_forward(fields)
    if cancel:
        await forwards.cancel_forward(spec, is_remote=kind == wire.REMOTE)
        return 0
    port = await forwards.add_forward(spec, is_remote=kind == wire.REMOTE)
    return port if kind == wire.REMOTE and not spec.listen.port and not spec.listen.path else 0


def read_forward(fields: Fields) -> tuple[int, ForwardSpec]:
    """Kind and forward of OPEN_FORWARD and CLOSE_FORWARD. Raises DecodeError."""
    kind = fields.number()
    listen = _place(fields.text(), fields.number())
    target = _place(fields.text(), fields.number())
    if kind not in KINDS:
        raise DecodeError(f"forward of unknown kind {kind}")
    has_target = bool(target.path or target.port)
    return kind, ForwardSpec(listen, target if has_target else None)


def _place(host: str, port: int) -> Place:
    if port == wire.UNIX_SOCKET:
        return Place(path=host)
    if port > 65535:
        raise DecodeError(f"port {port}")
    return Place(host=host or None, port=port)
