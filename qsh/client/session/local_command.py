"""LocalCommand: a command of the user's on this side, once the login stands (ssh_config(5))."""

import asyncio
from collections.abc import Mapping

from qsh import log

_log = log.logger("client")


async def run_local_command(command: str, environment: Mapping[str, str]) -> None:
    """Run it by the user's shell and wait for its end. How it ends changes nothing."""
    shell = environment.get("SHELL") or "/bin/sh"
    try:
        process = await asyncio.create_subprocess_exec(shell, "-c", command)
    except OSError as error:
        _log.error("LocalCommand: cannot run %s: %s", shell, error.strerror)
        return
    status = await process.wait()
    _log.debug1("LocalCommand ended with status %d", status)
