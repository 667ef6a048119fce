"""aioquic's own log, for debugging only: it would warn of every broken packet on stderr, and what
matters is in the events."""

import logging
from typing import Any

from qsh.lazy import light_aioquic

light_aioquic()

from aioquic.quic.connection import QuicConnectionAdapter  # noqa: E402


class Trace(QuicConnectionAdapter):
    """Everything goes to `qsh.quic.aioquic`, at level DEBUG."""

    def __init__(self, connection_id: bytes) -> None:
        super().__init__(logging.getLogger("qsh.quic.aioquic"), {"id": connection_id.hex()})

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        super().log(logging.DEBUG, msg, *args, **kwargs)
