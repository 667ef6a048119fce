"""Is this the right host? Decides before anything is said that is not for strangers.

The host has proved that it holds a key (host_proofs); known_hosts, KnownHostsCommand, the DNS or
the user say whether that key is the host's.
"""

from qsh import log
from qsh.auth.blobs import CA_SIGNATURE_ALGORITHMS
from qsh.auth.known_hosts import DEFAULT_PORT, Kind, KnownHosts, Verdict, host_name, load
from qsh.auth.public_key import PublicKey
from qsh.auth.signatures import login_algorithms
from qsh.client.host import texts as texts
from qsh.client.host.proofs import HostProof, other_keys, proves
from qsh.client.host.texts import HostFacts
from qsh.client.login.algorithms import allowed_names, allows
from qsh.client.login.prompts import CannotAskError, Prompter
from qsh.client.notices import show, with_hint
from qsh.config.client_settings import ClientSettings
from qsh.config.key_exchange import POST_QUANTUM
from qsh.errors import ConfigError, HostKeyError
from qsh.net.connection import Connection
from qsh.record import record, replace

NOT_VERIFIED = "host key verification failed"
BY_COMMAND = "KnownHostsCommand"
"""The place of what that program says."""

_log = log.logger("hostkey")


@record
class Trust:
    """The host is taken for the right one. `is_changed`: against the evidence, because
    StrictHostKeyChecking is off; no secret may be typed to such a host. `by_own_list`: by a line
    of known_hosts or a word of the user's, so that UpdateHostKeys may go by it."""

    is_changed: bool = False
    by_own_list: bool = False


class HostCheck:
    """Decides about one host's key. `now`: seconds since 1970, for certificates."""

    def __init__(self, connection: Connection, proof: HostProof, settings: ClientSettings,
                 prompter: Prompter, now: float) -> None:
        self._connection = connection
        self._proof = proof
        self._settings = settings
        self._prompter = prompter
        self._now = now
        self._dns_says = ""
        address = connection.remote[0] if connection.remote else settings.hostname
        self._facts = HostFacts(
            settings.host_key_name.lower(),
            DEFAULT_PORT if settings.host_key_alias else settings.port,
            address, proof.key, settings.fingerprint_hash, settings.visual_host_key,
        )

    async def run(self) -> Trust:
        """Trust the host or raise HostKeyError. May ask the user, and the host for a proof of
        another key; opens the gate for the host's words."""
        self._warn_of_weak_crypto()
        trust = await self._judge()
        if not self._connection.wire.is_open:
            self._connection.trust()
        return trust

    def _warn_of_weak_crypto(self) -> None:
        group = self._connection.key_exchange
        if self._settings.warn_weak_crypto and group not in POST_QUANTUM:
            show(f"** WARNING: the key exchange of this connection ({group}) does not withstand\n"
                 "** quantum computers: who records it now may read it one day.")

    async def run_again(self) -> None:
        """For a host that shows the key it was trusted by a while ago: only a revocation since
        then counts. Raises HostKeyError; opens the gate."""
        settings = self._settings
        is_here = settings.no_host_authentication_for_localhost
        if not (is_here and is_loopback(self._facts.address)):
            self._check_revoked()
            verdict = self._verdict(await self._known_hosts(), self._proof.key)
            if verdict.kind is Kind.REVOKED:
                raise self._revoked(verdict)
        self._connection.trust()

    async def _judge(self) -> Trust:
        settings, key = self._settings, self._proof.key
        if settings.no_host_authentication_for_localhost and is_loopback(self._facts.address):
            _log.debug1("the host is this machine: its key is not checked")
            return Trust()
        hosts = await self._known_hosts()
        problem = self._problem(key)
        if problem is not None:
            if await self._proves_another(hosts):
                return Trust(by_own_list=True)
            key = await self._next_key(problem)
            self._proof = replace(self._proof, key=key)
            self._facts = replace(self._facts, key=key)
        self._check_revoked()
        verdict = self._verdict(hosts, key)
        if verdict.certificate_problem:
            _log.debug1("host certificate: %s", verdict.certificate_problem)
        if verdict.kind is Kind.CHANGED and verdict.other_types and (
            await self._proves_another(hosts)
        ):
            return Trust(by_own_list=True)
        if settings.verify_host_key_dns != "no" and await self._is_in_dns(verdict):
            return Trust()
        trust = await self._decide(verdict)
        self._note_address(hosts, verdict)
        return trust

    async def _known_hosts(self) -> KnownHosts:
        """All that is known of hosts; the files are read when they are asked."""
        settings, extra = self._settings, []
        if settings.known_hosts_command is not None:
            from qsh.client.host.known_hosts_command import known_by_command

            names = [("HOSTNAME", self._facts.shown)]
            if settings.check_host_ip and settings.host_key_alias is None:
                names.append(("ADDRESS", host_name(self._facts.address, settings.port)))
            for reason, name in names:
                lines = await known_by_command(settings, self._proof.key, name, reason)
                extra.append((BY_COMMAND, lines))
        files = (*settings.user_known_hosts_files, *settings.global_known_hosts_files)
        return load(files, extra)

    async def _is_in_dns(self, verdict: Verdict) -> bool:
        """VerifyHostKeyDNS: whether the DNS alone is enough. Warns if it has other keys."""
        from qsh.client.host.records import fingerprints

        found = await fingerprints(self._settings.hostname, self._proof.key)
        self._dns_says = texts.IN_DNS if found.match else texts.NOT_IN_DNS
        if found.are_there and not found.match:
            show(texts.other_in_dns(self._facts))
        return (
            self._settings.verify_host_key_dns == "yes"
            and found.match and found.is_authentic and verdict.kind is not Kind.REVOKED
        )  # fmt: skip

    def _note_address(self, hosts: KnownHosts, verdict: Verdict) -> None:
        """CheckHostIP: the next visit shall know the address, too."""
        settings, facts = self._settings, self._facts
        if not settings.check_host_ip or settings.host_key_alias or verdict.by_authority or (
            facts.address == facts.name or verdict.kind is Kind.CHANGED
        ):
            return
        if not hosts.entries(facts.address, settings.port):
            self._write_down(facts.address, texts.added_address(facts))

    def _verdict(self, hosts: KnownHosts, key: PublicKey) -> Verdict:
        settings = self._settings
        authorities = frozenset(
            settings.ca_signature_algorithms.resolve(tuple(sorted(CA_SIGNATURE_ALGORITHMS)))
        )
        return hosts.check(
            settings.hostname, settings.port,
            self._facts.address if settings.check_host_ip else None,
            key, self._now, alias=settings.host_key_alias, ca_algorithms=authorities,
        )  # fmt: skip

    def _problem(self, key: PublicKey) -> HostKeyError | None:
        """What HostKeyAlgorithms or RequiredRSASize have against a key."""
        settings = self._settings
        if not allows(settings.host_key_algorithms, key):
            return with_hint(
                HostKeyError(f"{self._facts.shown} has a host key of type {key.algorithm}, which "
                             "HostKeyAlgorithms does not allow"),
                "allow it there, or give the host another key",
            )
        if key.plain_algorithm == "ssh-rsa" and key.bits < settings.required_rsa_size:
            return HostKeyError(f"the host's RSA key has {key.bits} bits; RequiredRSASize demands "
                                f"{settings.required_rsa_size}")
        return None

    def _check_revoked(self) -> None:
        path = self._settings.revoked_host_keys
        if path is not None and is_revoked(path, self._proof.key):
            show(texts.revoked(self._facts, path, 0))
            raise HostKeyError(NOT_VERIFIED)

    def _revoked(self, verdict: Verdict) -> HostKeyError:
        show(texts.revoked(self._facts, verdict.path, verdict.line))
        return HostKeyError(NOT_VERIFIED)

    async def _decide(self, verdict: Verdict) -> Trust:
        strict = self._settings.strict_host_key_checking
        if verdict.kind is Kind.KNOWN:
            _log.debug1("known by %s line %d", verdict.path, verdict.line)
            if self._settings.visual_host_key:
                show("\n".join([f"Host key fingerprint is {self._facts.fingerprint}",
                                *texts.picture(self._facts)]))  # fmt: skip
            return Trust(by_own_list=not verdict.by_authority and verdict.path != BY_COMMAND)
        if verdict.kind is Kind.REVOKED:
            raise self._revoked(verdict)
        if verdict.kind is Kind.CHANGED:
            show(texts.changed(self._facts, verdict))
            if strict == "no":
                _log.error("going on without password and keyboard-interactive logins, since "
                           "StrictHostKeyChecking is off")
                return Trust(is_changed=True)
            raise HostKeyError(f"the host key of {self._facts.shown} has changed, and "
                               f"StrictHostKeyChecking is {strict}: {NOT_VERIFIED}")
        if strict == "yes":
            raise self._unknown("StrictHostKeyChecking is yes")
        if strict == "ask":
            await self._ask(verdict)
        self._write_down(self._facts.name, texts.added(self._facts))
        return Trust(by_own_list=strict == "ask")

    def _unknown(self, why: str) -> HostKeyError:
        facts = self._facts
        return with_hint(
            HostKeyError(f"no {facts.kind} host key is known for {facts.shown}, and {why}: "
                         f"{NOT_VERIFIED}"),
            f"its fingerprint is {facts.fingerprint}",
        )

    async def _ask(self, verdict: Verdict) -> None:
        """Until the user says yes, or the fingerprint. Raises HostKeyError for a no."""
        prompt = f"{texts.question(self._facts, verdict, self._dns_says)}\n{texts.PROMPT}"
        while True:
            try:
                answer = (await self._prompter.ask(prompt, echo=True)).strip()
            except CannotAskError as error:
                raise self._unknown(str(error)) from None
            if answer.lower() == "yes" or answer == self._facts.fingerprint:
                return
            if answer.lower() == "no":
                raise HostKeyError(NOT_VERIFIED)
            prompt = texts.PROMPT_AGAIN

    def _write_down(self, name: str, text: str) -> None:
        """Add the key to known_hosts under a name. What cannot be written is only a warning: the
        user has decided."""
        from qsh.auth.known_hosts_file import add

        if not self._settings.user_known_hosts_files:
            return
        problem = add(
            self._settings.user_known_hosts_files[0], name, self._facts.port,
            self._proof.key, self._settings.hash_known_hosts,
        )  # fmt: skip
        if problem:
            _log.error("cannot add the host to the list of known hosts: %s", problem)
        else:
            _log.info("%s", text)

    async def _next_key(self, problem: HostKeyError) -> PublicKey:
        """Another key of the host's, that the settings allow; the first in their order that it
        proves. Raises `problem` if there is none."""
        order = allowed_names(self._settings.host_key_algorithms)
        keys = [key for key in await other_keys(self._connection) if self._problem(key) is None]
        keys.sort(key=lambda key: min(order.index(n) for n in login_algorithms(key) if n in order))
        for key in keys:
            if await proves(self._connection, self._proof.session_id, (key,)):
                _log.debug1("the host proved its %s key", key.key_type_name)
                return key
        raise problem

    async def _proves_another(self, hosts: KnownHosts) -> bool:
        """Whether the host also holds one of its known keys, which are of other types than the
        one in the attestation."""
        if not self._connection.wire.is_open:
            self._connection.trust()  # to hear the proof; nothing else is believed
        for key in hosts.known_keys(self._settings.host_key_name, self._facts.port):
            if self._may_vouch(hosts, key) and await proves(
                self._connection, self._proof.session_id, (key,)
            ):
                _log.debug1("the host proved its %s key", key.key_type_name)
                return True
        return False

    def _may_vouch(self, hosts: KnownHosts, key: PublicKey) -> bool:
        """Whether a host that showed this key would be trusted: a stolen key that is revoked must
        not bring in a fresh one."""
        path = self._settings.revoked_host_keys
        if self._problem(key) is not None or (path and is_revoked(path, key)):
            return False
        return self._verdict(hosts, key).kind is Kind.KNOWN


def is_revoked(path: str, key: PublicKey) -> bool:
    """Whether the file RevokedHostKeys lists the key. Raises HostKeyError if it cannot be read:
    then no host can be trusted (ssh_config(5))."""
    from qsh.auth.revoked import load as load_revoked

    try:
        return load_revoked(path).revokes(key)
    except ConfigError as error:
        raise HostKeyError(f"RevokedHostKeys: {error}; no host is trusted without it") from None


def is_loopback(address: str) -> bool:
    """Whether packets to it never leave this machine."""
    from ipaddress import ip_address

    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
