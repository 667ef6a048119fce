"""`-O`: what is asked of a master, and told to it."""

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from qsh import log
from qsh.client.master import mux_wire as wire
from qsh.client.master.mux_client import Master, change_forwards, find_master, ride
from qsh.errors import NetworkError, QshError, UsageError

if TYPE_CHECKING:
    from qsh.config.client_settings import ClientSettings

COMMANDS = ("check", "forward", "cancel", "exit", "stop", "conninfo", "channels", "proxy")
"""What -O takes."""


def run_command(settings: "ClientSettings", order: str, command: tuple[str, ...] = (),
                stdio: str | None = None) -> int:
    """`-O`: tell or ask the master; the exit status. `command` and `stdio` (-W) are for `proxy`.
    Raises QshError."""
    if order not in COMMANDS:
        raise UsageError(f"Invalid multiplex command: {order} (one of {', '.join(COMMANDS)})")
    master = find_master(settings, must_exist=True)
    assert master is not None
    match order:
        case "check":
            _say(f"Master running (pid={master.pid()})")
        case "exit":
            master.ask(wire.TERMINATE)
            master.answer(wire.OK)
            _say("Exit request sent.")
        case "stop":
            master.ask(wire.STOP_LISTENING)
            master.answer(wire.OK)
            _say("Stop listening request sent.")
        case "forward" | "cancel":
            change_forwards(master, settings, cancel=order == "cancel")
        case "conninfo" | "channels":
            _print_info(master, "connection" if order == "conninfo" else "channels")
        case "proxy":
            return _run_proxied(master, settings, command, stdio)
    return 0


def _run_proxied(master: Master, settings: "ClientSettings", command: tuple[str, ...],
                 stdio: str | None) -> int:
    """The command over the master's connection, with forwards that end with it."""
    try:
        return ride(master, settings, command, stdio)
    finally:
        with contextlib.suppress(QshError, OSError):
            again = find_master(settings, must_exist=True)
            assert again is not None
            change_forwards(again, settings, cancel=True)


def _print_info(master: Master, kind: str) -> None:
    if wire.EXTENSION not in master.extensions:
        raise NetworkError("the master is no qsh: it cannot tell")
    master.ask(wire.INFO, kind)
    sys.stdout.write(master.answer(wire.INFO_TEXT).text())
    sys.stdout.flush()


def _say(text: str) -> None:
    """As ssh(1): to standard error, unless it is to be quiet."""
    if log.is_enabled(log.Level.FATAL):
        end = "\r\n" if os.isatty(2) else "\n"
        os.write(2, f"{text}{end}".encode())
