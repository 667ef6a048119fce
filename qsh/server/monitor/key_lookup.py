"""What lets a key in: AuthorizedKeysFile and -Command, TrustedUserCAKeys, but for RevokedKeys.

The user's files are read with the user's rights and under StrictModes, the administrator's with
ours. Anything that cannot be read or trusted lets nobody in, and the log says why.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from qsh.auth import authorized_keys, revoked
from qsh.auth.authorized_keys import Permissions
from qsh.auth.blobs import CA_SIGNATURE_ALGORITHMS
from qsh.auth.public_key import PublicKey
from qsh.config.server import user_path
from qsh.config.server_settings import ServerSettings
from qsh.errors import ConfigError, IdentityError
from qsh.server.accounts.accounts import Account
from qsh.server.accounts.environment import Peers
from qsh.server.monitor.key_commands import KeyCommand
from qsh.server.monitor.user_files import MAX_FILE, Report, read_as_user


class _Asked(TypedDict):
    """What every question about a line has in common."""

    user: str
    address: str
    hostname: str
    now: float
    ca_algorithms: frozenset[str]
    report: Report


@dataclass(frozen=True, slots=True)
class KeyLookup:
    """Finds what a key may do in an account. `hostname` is the client's verified name, or empty;
    `report` takes lines for the log."""

    settings: ServerSettings
    peers: Peers
    report: Report
    hostname: str = ""

    def permissions(
        self, key: PublicKey, account: Account | None, now: float
    ) -> Permissions | None:
        """What the first file that knows the key permits, or a command's output after them; None
        if none does. `now` is wall-clock time. That the key's signature is good is not checked
        here.

        Without an account nothing is permitted; but a long list of revoked keys takes its time
        then as well, which would else tell strangers who has one.
        """
        if self.is_revoked(key) or account is None:
            return None
        if key.is_certificate:
            found = self._by_authority(key, account, now)
            if found is not None:
                return found
        for path in self.settings.authorized_keys_files:
            if path == "none":
                continue
            full = _path_for(path, account)
            text = self._read_as_user(full, account)
            if text is None:
                continue
            found = authorized_keys.match(text, full, key, **self._asked(account, now))
            if found is not None:
                return found
        return self._by_command(key, account, now)

    def _asked(self, account: Account, now: float) -> _Asked:
        return _Asked(
            user=account.name, address=self.peers.remote[0], hostname=self.hostname, now=now,
            ca_algorithms=self._authority_algorithms, report=self.report,
        )  # fmt: skip

    def _by_command(self, key: PublicKey, account: Account, now: float) -> Permissions | None:
        settings = self.settings
        if settings.authorized_keys_command is None:
            return None
        command = KeyCommand(
            "AuthorizedKeysCommand", settings.authorized_keys_command,
            settings.authorized_keys_command_user,
        )  # fmt: skip
        text = command.output(key, account, self.peers, self.report)
        if text is None:
            return None
        return authorized_keys.match(text, command.keyword, key, **self._asked(account, now))

    def is_revoked(self, key: PublicKey) -> bool:
        """RevokedKeys; a list that cannot be read revokes all."""
        path = self.settings.revoked_keys
        if path is None:
            return False
        try:
            is_revoked = revoked.load_cached(path).revokes(key)
        except ConfigError as error:
            self.report(f"{error}: refusing all keys")
            return True
        if is_revoked:
            self.report(f"key {key.fingerprint()} is revoked by {path}")
        return is_revoked

    def _by_authority(self, key: PublicKey, account: Account, now: float) -> Permissions | None:
        """By the principals' file or command; without either the user's name must be one."""
        settings = self.settings
        trusted = settings.trusted_user_ca_keys
        if trusted is None or not _holds(trusted, key.authority, self.report):
            return None
        asked = self._asked(account, now)
        for source, text in self._principals(key, account):
            found = authorized_keys.match_principals(text, source, key, **asked)
            if found is not None:
                return found
        if settings.authorized_principals_file or settings.authorized_principals_command:
            return None
        try:
            return authorized_keys.match_certificate(
                key, user=account.name, address=asked["address"], now=now,
                ca_algorithms=asked["ca_algorithms"],
            )  # fmt: skip
        except IdentityError as error:
            self.report(str(error))
            return None

    def _principals(self, key: PublicKey, account: Account) -> Iterator[tuple[str, bytes]]:
        """Where names stand, and the text; the command is only asked if the file did not do."""
        settings = self.settings
        if settings.authorized_principals_file is not None:
            path = _path_for(settings.authorized_principals_file, account)
            text = self._read_as_user(path, account)
            if text is not None:
                yield path, text
        if settings.authorized_principals_command is not None:
            command = KeyCommand(
                "AuthorizedPrincipalsCommand", settings.authorized_principals_command,
                settings.authorized_principals_command_user,
            )  # fmt: skip
            text = command.output(key, account, self.peers, self.report)
            if text is not None:
                yield command.keyword, text

    @property
    def _authority_algorithms(self) -> frozenset[str]:
        defaults = tuple(sorted(CA_SIGNATURE_ALGORITHMS))
        return frozenset(self.settings.ca_signature_algorithms.resolve(defaults))

    def _read_as_user(self, path: str, account: Account) -> bytes | None:
        return read_as_user(path, account, self.report, is_strict=self.settings.strict_modes)


def _path_for(template: str, account: Account) -> str:
    return user_path(template, user=account.name, home=account.home, uid=account.uid)


def _holds(path: str, key: PublicKey, report: Report) -> bool:
    try:
        with open(path, "rb") as file:
            lines = file.read(MAX_FILE).splitlines()
    except OSError as error:
        report(f"{path}: {error.strerror}")
        return False
    return any(_is(line, key) for line in lines)


def _is(line: bytes, key: PublicKey) -> bool:
    try:
        return PublicKey.from_line(line) == key
    except IdentityError:
        return False
