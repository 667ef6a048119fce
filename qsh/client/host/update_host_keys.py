"""UpdateHostKeys: a known host tells which keys it has now (OpenSSH's PROTOCOL section 2.5).

Keys that are new and proved are written down, those that it no longer has are forgotten, so that a
host can change its keys without anybody being asked. Only lines of known_hosts that name this host
alone are touched. A question (`ask`) waits for the end of the session, whose terminal it needs.
"""

import asyncio
from collections.abc import Iterable

from qsh import log
from qsh.auth.known_hosts import Entry, Marker, host_name, load
from qsh.auth.known_hosts_file import names_one_host, replace_keys
from qsh.auth.public_key import PublicKey
from qsh.client.host.proofs import HostProof, proves
from qsh.client.login.algorithms import allows
from qsh.client.login.prompts import CannotAskError, Prompter
from qsh.client.notices import show
from qsh.config.client_settings import ClientSettings
from qsh.errors import IdentityError, QshError
from qsh.net.connection import Connection
from qsh.net.tasks import cancel, spawn
from qsh.record import record
from qsh.wire.global_messages import HostKeysAnnounce

PATIENCE = 2.0
"""Seconds that the end of a session waits for a proof that is under way: one round trip, once."""
QUESTION = "Accept updated hostkeys? (yes/no): "

_log = log.logger("hostkey")


@record
class Change:
    """What differs between the host's keys and the lines that name it."""

    new: tuple[PublicKey, ...]
    gone: tuple[Entry, ...]


class HostKeyUpdate:
    """Listens to a host's requests from the login on; announcements of keys count only where
    `may_update`, everything else is refused."""

    def __init__(self, connection: Connection, proof: HostProof, settings: ClientSettings,
                 prompter: Prompter, *, may_update: bool) -> None:
        self._connection = connection
        self._proof = proof
        self._settings = settings
        self._prompter = prompter
        self._may_update = may_update and settings.update_host_keys != "no"
        self._to_ask: Change | None = None
        self._is_proving = False
        port = 22 if settings.host_key_alias else settings.port
        self._name = host_name(settings.host_key_name, port)
        self._task = spawn(self._listen(), "requests of the host")

    async def _listen(self) -> None:
        while (request := await self._connection.next_request()) is not None:
            if isinstance(request.body, HostKeysAnnounce) and self._may_update:
                self._may_update = False  # one list per connection, as with ssh
                spawn(self._take(request.body.keys), "host keys")
            self._connection.answer(request, None)

    async def finish(self) -> None:
        """At the end of the session: what is under way is finished, and the user asked."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while self._is_proving and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)
        await cancel(self._task)
        if self._to_ask is not None and await self._is_wanted(self._to_ask):
            self._write(self._to_ask)

    async def _take(self, blobs: tuple[bytes, ...]) -> None:
        change = self._change(self._parsed(blobs), blobs)
        if change is None:
            return
        self._is_proving = True
        try:
            if not await proves(self._connection, self._proof.session_id, change.new):
                _log.error("the host announces keys that it does not prove: none is taken")
            elif self._settings.update_host_keys == "ask":
                self._to_ask = change
            else:
                self._write(change)
        except QshError as error:
            _log.debug1("host keys: %s", error)
        finally:
            self._is_proving = False

    def _parsed(self, blobs: Iterable[bytes]) -> list[PublicKey]:
        """The keys that the settings allow."""
        keys = []
        for blob in blobs:
            try:
                key = PublicKey.from_blob(blob)
            except IdentityError:
                continue
            is_short = key.plain_algorithm == "ssh-rsa" and (
                key.bits < self._settings.required_rsa_size
            )
            if not key.is_certificate and not is_short and (
                allows(self._settings.host_key_algorithms, key)
            ):
                keys.append(key)
        return keys

    def _change(self, keys: list[PublicKey], announced: tuple[bytes, ...]) -> Change | None:
        """What is to be changed; None for nothing, or where the lines say more than this host."""
        name, _, port = self._name.removeprefix("[").partition("]:")
        lines = load(self._settings.user_known_hosts_files).entries(name, int(port or 22))
        known = [entry for entry in lines if entry.marker is Marker.NONE]
        if not known or not keys:
            return None
        if len(lines) > len(known) or not all(names_one_host(e.path, e.line) for e in known):
            _log.debug1("host keys are not updated: lines in known_hosts name more than this host")
            return None
        blobs = {entry.blob for entry in known}
        new = tuple(key for key in dict.fromkeys(keys) if key.blob not in blobs)
        gone = tuple(entry for entry in known if entry.blob not in announced)
        return Change(new, gone) if new or gone else None

    async def _is_wanted(self, change: Change) -> bool:
        lines = ["The server has updated its host keys.",
                 "These changes were verified by the server's existing trusted key.",
                 *(f"Learned new hostkey: {_shown(key)}" for key in change.new),
                 *(f"Deprecating obsolete hostkey: {_shown(PublicKey.from_blob(entry.blob))}"
                   for entry in change.gone)]  # fmt: skip
        show("\n".join(lines))
        try:
            return (await self._prompter.ask(QUESTION, echo=True)).strip().lower() == "yes"
        except CannotAskError as error:
            _log.debug1("host keys are not updated: %s", error)
            return False

    def _write(self, change: Change) -> None:
        files, settings = self._settings.user_known_hosts_files, self._settings
        for number, path in enumerate(files):
            gone = {entry.blob for entry in change.gone if entry.path == path}
            new = change.new if number == 0 else ()
            if not gone and not new:
                continue
            problem = replace_keys(path, self._name, gone, new, settings.hash_known_hosts)
            if problem:
                _log.error("cannot update the list of known hosts: %s", problem)
                return
        for key in change.new:
            _log.verbose("learned a new host key: %s", _shown(key))
        for entry in change.gone:
            _log.verbose("forgot a host key: %s", _shown(PublicKey.from_blob(entry.blob)))


def _shown(key: PublicKey) -> str:
    return f"{key.key_type_name} {key.fingerprint()}"
