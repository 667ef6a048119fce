"""KnownHostsCommand: a program that knows host keys, asked each time (ssh_config(5))."""

import asyncio
from base64 import b64encode

from qsh.auth.public_key import PublicKey
from qsh.config.client_settings import ClientSettings
from qsh.config.facts import connection_tokens, local_facts
from qsh.config.lines import split_words
from qsh.config.tokens import KNOWN_HOSTS_TOKENS, expand_tokens
from qsh.errors import HostKeyError

MAX_OUTPUT = 16 << 20
"""Bytes; nobody's known hosts are more."""


async def known_by_command(
    settings: ClientSettings, key: PublicKey, name: str, reason: str
) -> bytes:
    """Lines in the format of known_hosts. `name` is what is searched for, as known_hosts has it;
    `reason` is HOSTNAME or ADDRESS. Raises HostKeyError if the program cannot be asked."""
    words = _words(settings, key, name, reason)
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise HostKeyError(f"KnownHostsCommand {words[0]}: {error.strerror}") from None
    assert process.stdout is not None
    try:
        output = await process.stdout.read(MAX_OUTPUT)
        while len(output) < MAX_OUTPUT and (more := await process.stdout.read(MAX_OUTPUT)):
            output += more
        if len(output) >= MAX_OUTPUT:
            process.kill()
            while await process.stdout.read(MAX_OUTPUT):
                pass  # asyncio waits for the end of the pipe as well
        status = await process.wait()
    except BaseException:
        process.kill()
        raise
    if status != 0:
        raise HostKeyError(f"KnownHostsCommand {words[0]} failed (status {status}): without it "
                           "no host is trusted")  # fmt: skip
    return output


def _words(settings: ClientSettings, key: PublicKey, name: str, reason: str) -> list[str]:
    """The argument vector; no shell has a part in it. Raises HostKeyError."""
    tokens = connection_tokens(
        local_facts(), settings.original_host, settings.hostname, settings.port, settings.user,
        settings.host_key_alias,
    )  # fmt: skip
    tokens |= {
        "H": name, "I": reason, "t": key.algorithm, "f": key.fingerprint(settings.fingerprint_hash),
        "K": b64encode(key.blob).decode(),
    }  # fmt: skip
    try:
        words = split_words(settings.known_hosts_command or "")
        expanded = [expand_tokens(word, KNOWN_HOSTS_TOKENS, tokens) for word in words]
    except ValueError as error:
        raise HostKeyError(f"KnownHostsCommand: {error}") from None
    if not expanded or not expanded[0].startswith("/"):
        raise HostKeyError("KnownHostsCommand needs the whole path of the program")
    return expanded
