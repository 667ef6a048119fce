"""Keys in PKCS #11 tokens (smart cards, HSMs): PKCS11Provider.

OpenSSH's programs speak to the token: `ssh-keygen -D` lists its keys, which needs no PIN on most
tokens, and a private ssh-agent (`ssh-pkcs11-helper`) signs, once the PIN is known.
"""

from contextlib import ExitStack

from qsh.auth.agent import Agent
from qsh.auth.private_agent import private_agent
from qsh.auth.public_key import PublicKey
from qsh.errors import IdentityError

LIST_TIMEOUT = 60.0
"""Seconds for a token to say what it has; some are slow."""
MAX_KEYS = 256


class Token:
    """The tokens that one library reaches. Blocks: callers use a thread."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self._stack = ExitStack()
        self._agent: Agent | None = None

    def public_keys(self) -> list[PublicKey]:
        """The keys on the tokens, those of certificates too. Raises IdentityError."""
        import subprocess

        try:
            done = subprocess.run(
                ["ssh-keygen", "-D", self.provider], stdin=subprocess.DEVNULL,
                capture_output=True, timeout=LIST_TIMEOUT, check=False,
            )  # fmt: skip
        except OSError:
            raise IdentityError("PKCS11Provider needs OpenSSH's ssh-keygen, which is not "
                                "installed here") from None
        except subprocess.TimeoutExpired:
            raise IdentityError(f"PKCS11Provider {self.provider}: no answer") from None
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no keys"]
            raise IdentityError(f"PKCS11Provider {self.provider}: {lines[-1][:200]}")
        keys = []
        for line in done.stdout.splitlines()[:MAX_KEYS]:
            try:
                keys.append(PublicKey.from_line(line))
            except IdentityError:
                continue  # a type that nobody logs in with
        return list(dict.fromkeys(keys))

    @property
    def is_open(self) -> bool:
        """Whether the PIN has been given."""
        return self._agent is not None

    def open(self, pin: str) -> None:
        """Log in to the tokens. Raises IdentityError: perhaps the PIN is wrong."""
        agent = self._stack.enter_context(private_agent(self.provider, "PKCS #11 tokens"))
        try:
            agent.add_provider(self.provider, pin)
        except IdentityError:
            self._stack.close()
            raise IdentityError(f"{self.provider} does not open with this PIN") from None
        self._agent = agent

    def sign(self, key: PublicKey, data: bytes, algorithm: str) -> bytes:
        """A signature blob by a key on a token that is open. Raises IdentityError."""
        assert self._agent is not None
        return self._agent.sign(key.plain, data, algorithm)

    def close(self) -> None:
        """Forget the PIN."""
        self._agent = None
        self._stack.close()
