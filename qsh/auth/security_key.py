"""Signing with a FIDO device whose key handle is in an identity file.

OpenSSH's own agent speaks to the device through its `ssh-sk-helper`: a private ssh-agent is
started for one signature, given the key and its provider, asked, and ended. So every device and
provider (`SecurityKeyProvider`, SSH_SK_PROVIDER) that OpenSSH can use works the same here.
"""

import os

from qsh.auth.private_agent import private_agent
from qsh.auth.private_key import PrivateKey
from qsh.auth.public_key import PublicKey

INTERNAL_PROVIDER = "internal"
"""OpenSSH's name for its built-in support of USB devices."""


def sign_with_device(
    public: PublicKey, device_part: bytes, data: bytes, algorithm: str, provider: str = ""
) -> bytes:
    """A signature blob by the device. May wait for a touch. Raises IdentityError.

    `provider` is the middleware library; by default what SSH_SK_PROVIDER names.
    """
    chosen = provider or os.environ.get("SSH_SK_PROVIDER") or INTERNAL_PROVIDER

    def never(data: bytes, algorithm: str) -> bytes:
        raise AssertionError

    key = PrivateKey(public.plain, never, device_part)
    allowed = "" if chosen == INTERNAL_PROVIDER else chosen
    with private_agent(allowed, "security keys in files") as agent:
        agent.add_security_key(key, chosen)
        return agent.sign(public.plain, data, algorithm)
