"""The user's display, made ready for far applications: xauth(1) and made-up cookies (-X, -Y).

Trusted applications get the display's own cookie; others one that xauth has the display make for
them, with less rights and an end (ForwardX11Trusted, ForwardX11Timeout of ssh_config(5)).
"""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from subprocess import DEVNULL, PIPE

from qsh import log
from qsh.config.client_settings import ClientSettings
from qsh.errors import QshError
from qsh.forward.x11 import Display, X11Access, parse_display
from qsh.forward.x11_cookie import Cookie
from qsh.wire.forward_messages import X11Request

MAGIC = "MIT-MAGIC-COOKIE-1"
COOKIE_LENGTH = 16
SLACK = 60
"""Seconds that the display keeps a cookie longer than we let anybody come with it."""
XAUTH_TIMEOUT = 20.0

_log = log.logger("x11")


class DisplayError(QshError):
    """There is no display to forward."""


async def prepare(settings: ClientSettings, environment: Mapping[str, str]) -> X11Access:
    """The display that DISPLAY names, with its cookie. Raises DisplayError."""
    name = environment.get("DISPLAY", "")
    if not name:
        raise DisplayError("DISPLAY is not set")
    try:
        display = parse_display(name)
    except ValueError as error:
        raise DisplayError(str(error)) from None
    real, expires = None, None
    if settings.forward_x11_trusted:
        real = await _cookie_of(settings, name, display)
    else:
        timeout = settings.forward_x11_timeout
        expires = asyncio.get_running_loop().time() + timeout if timeout else None
        real = await _untrusted_cookie(settings, name)
    made_up = Cookie(real.protocol if real else MAGIC,
                     secrets.token_bytes(len(real.data) if real else COOKIE_LENGTH))  # fmt: skip
    # A display without cookies (xhost +) takes any.
    return X11Access(display, made_up, real or made_up, expires)


def request_for(access: X11Access) -> X11Request:
    """The request for a session: tells the server the made-up cookie."""
    cookie = access.made_up
    return X11Request(False, cookie.protocol, cookie.data.hex(), access.display.screen)


async def _cookie_of(settings: ClientSettings, name: str, display: Display) -> Cookie | None:
    """What xauth knows of the display; None if nothing. Displays of `localhost` are entered as
    this machine's own."""
    if display.host == "localhost":
        name = f"unix:{display.number}.{display.screen}"
    lines = await _xauth(settings, "list", name)
    cookie = _parse(lines or "")
    if cookie is None:
        _log.info("xauth knows no cookie of the display: far applications come without one")
    return cookie


async def _untrusted_cookie(settings: ClientSettings, name: str) -> Cookie:
    """A cookie of less rights, made by the display. Raises DisplayError."""
    timeout = int(settings.forward_x11_timeout)
    words = ["generate", name, MAGIC, "untrusted"]
    if timeout:
        words += ["timeout", str(timeout + SLACK)]
    with tempfile.TemporaryDirectory(prefix="qsh-") as folder:
        file = f"{folder}/xauthority"
        await _xauth(settings, *words, file=file)
        cookie = _parse(await _xauth(settings, "list", name, file=file) or "")
    if cookie is None:
        raise DisplayError("the display makes no cookie for untrusted applications "
                           "(-Y trusts them)")  # fmt: skip
    return cookie


def _parse(lines: str) -> Cookie | None:
    """The first line of `xauth list`: name, protocol, data in hexadecimal."""
    words = lines.partition("\n")[0].split()
    try:
        return Cookie(words[1], bytes.fromhex(words[2]))
    except (IndexError, ValueError):
        return None


async def _xauth(settings: ClientSettings, *words: str, file: str = "") -> str | None:
    """What it prints; None if it fails."""
    program = settings.x_auth_location
    if not shutil.which(program):
        _log.info("cannot find %s (XAuthLocation)", program)
        return None
    arguments = ["-q", *(["-f", file] if file else []), *words]
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL,
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(XAUTH_TIMEOUT):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    return output.decode(errors="replace") if process.returncode == 0 else None
