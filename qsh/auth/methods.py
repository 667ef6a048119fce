"""The client's side of choosing: which method and which identity next. Pure.

ssh's order (PreferredAuthentications; sshconnect2.c), with two differences that save round trips:
the identity that last worked for the host goes first, and an identity that needs nobody's hand is
signed with at once instead of first asking whether the server would take it.
"""

from collections.abc import Collection, Iterable, Sequence

from qsh.auth.patterns import Match, match_list
from qsh.auth.public_key import PublicKey
from qsh.auth.signatures import login_algorithms
from qsh.record import record

PREFERRED = ("hostbased", "publickey", "keyboard-interactive", "password")
"""PreferredAuthentications by default, less what qsh does not have."""
PASSWORD_PROMPTS = 3


@record
class FileIdentity:
    """What is known of an IdentityFile (and CertificateFile) before it is opened for signing.

    `public` is None if only the opened file will tell. `encrypted` means a passphrase is needed.
    """

    path: str
    public: PublicKey | None = None
    certificates: tuple[PublicKey, ...] = ()
    encrypted: bool = False


@record
class Identity:
    """One way to log in by public key: `public` may be a certificate.

    `path` is the file that holds (or names) the private key, None if only the agent has it.
    """

    public: PublicKey | None
    path: str | None = None
    in_agent: bool = False
    encrypted: bool = False
    in_token: bool = False
    """The private half is in a PKCS #11 token."""

    @property
    def is_interactive(self) -> bool:
        """Whether signing may ask for a passphrase, a touch or a PIN."""
        if self.public is None or self.in_token:
            return True
        return self.public.is_security_key or (self.encrypted and not self.in_agent)

    @property
    def fingerprint(self) -> str:
        return "" if self.public is None else self.public.fingerprint()


@record
class Attempt:
    """What to try next. `query_first`: ask the server whether it would take the identity before
    anybody is troubled (RFC 4252 section 7). `number` counts prompts of one method from 1."""

    method: str
    identity: Identity | None = None
    query_first: bool = False
    number: int = 1


def order_identities(
    agent_keys: Sequence[PublicKey],
    files: Sequence[FileIdentity],
    *,
    identities_only: bool = False,
    last_worked: str = "",
    certificates: Sequence[PublicKey] = (),
    token_keys: Sequence[PublicKey] = (),
) -> tuple[Identity, ...]:
    """Every identity once, in the order to try them. `certificates` are those of CertificateFile,
    for whichever key; `token_keys` those of PKCS11Provider, which count as named.

    First what both the agent holds and a file names, then the agent's others (none with
    `identities_only`), then files alone; a certificate before the key that it is for. The identity
    with the fingerprint `last_worked` comes before all.
    """
    listed = [*_of_files(files, agent_keys), *_of_tokens(token_keys, certificates, agent_keys)]
    named = {identity.public for identity in listed}
    others = [key for key in agent_keys if not identities_only or _for_key(certificates, key)]
    rest = [
        public for key in others for public in (*_for_key(certificates, key), key)
        if public not in named and (not identities_only or public.is_certificate)
    ]  # fmt: skip
    ordered = [
        *(identity for identity in listed if identity.in_agent),
        *(Identity(key, in_agent=True) for key in _certificates_first(rest)),
        *(identity for identity in listed if not identity.in_agent),
    ]
    unique = list(dict.fromkeys(_without_doubles(ordered)))
    if last_worked:
        unique.sort(key=lambda identity: identity.fingerprint != last_worked)
    return tuple(unique)


def _of_files(
    files: Iterable[FileIdentity], agent_keys: Sequence[PublicKey]
) -> Iterable[Identity]:
    for file in files:
        own = [c for c in file.certificates if file.public is None or c.plain == file.public.plain]
        for public in (*own, file.public):
            held = public is not None and (public in agent_keys or public.plain in agent_keys)
            yield Identity(public, file.path, held, file.encrypted)


def _of_tokens(
    token_keys: Iterable[PublicKey],
    certificates: Sequence[PublicKey],
    agent_keys: Sequence[PublicKey],
) -> Iterable[Identity]:
    for key in token_keys:
        for public in (*_for_key(certificates, key), key):
            held = public in agent_keys or key in agent_keys
            yield Identity(public, None, held, in_token=not held)


def _for_key(certificates: Iterable[PublicKey], key: PublicKey) -> list[PublicKey]:
    return [one for one in certificates if not key.is_certificate and one.plain == key]


def _certificates_first(keys: Iterable[PublicKey]) -> list[PublicKey]:
    """A certificate right before its plain key; else the agent's order."""
    ordered = list(keys)
    first: dict[bytes, int] = {}
    for place, key in enumerate(ordered):
        first.setdefault(key.plain.blob, place)
    return sorted(ordered, key=lambda key: (first[key.plain.blob], not key.is_certificate))


def _without_doubles(identities: Iterable[Identity]) -> Iterable[Identity]:
    seen: set[PublicKey] = set()
    for identity in identities:
        if identity.public is None:
            yield identity
        elif identity.public not in seen:
            seen.add(identity.public)
            yield identity


def choose_algorithm(
    key: PublicKey, accepted: str = "*", server_algorithms: Collection[str] | None = None
) -> str | None:
    """The name to log in under, or None if there is none.

    `accepted` is a pattern list (PubkeyAcceptedAlgorithms, expanded); `server_algorithms` is
    server-sig-algs (RFC 8308 section 3.1), None while unknown. A server that lists only
    `rsa-sha2-256` takes certificates signed so as well.
    """
    from qsh.auth.signatures import signature_algorithm

    for name in login_algorithms(key):
        if match_list(name, accepted) is not Match.YES:
            continue
        if server_algorithms is None or not {name, signature_algorithm(name)}.isdisjoint(
            server_algorithms
        ):
            return name
    return None


def optimistic_identity(identities: Sequence[Identity]) -> Identity | None:
    """The identity that may be signed with in the first flight, before the server has said
    anything: the first in order, if it needs nobody's hand; else None."""
    if identities and not identities[0].is_interactive:
        return identities[0]
    return None


class LoginPlan:
    """What to try next, given what the server still accepts.

    `enabled` are the methods that the settings allow (BatchMode leaves out those that ask);
    `host_keys` is how many keys this host has to vouch with.
    """

    def __init__(
        self,
        identities: Sequence[Identity],
        *,
        preferred: Sequence[str] = PREFERRED,
        enabled: Collection[str] = PREFERRED,
        password_prompts: int = PASSWORD_PROMPTS,
        host_keys: int = 1,
    ) -> None:
        self._identities = tuple(identities)
        self._order = tuple(m for m in dict.fromkeys(preferred) if m in enabled)
        self._prompts = password_prompts
        self._host_keys = host_keys
        self._tried: set[int] = set()
        self._counts: dict[str, int] = {}
        self._done: set[str] = set()

    def next(self, remaining: Collection[str]) -> Attempt | None:
        """The next attempt among the methods that the server named last, or None: give up."""
        for method in self._order:
            if method not in remaining or method in self._done:
                continue
            attempt = self._next_of(method)
            if attempt is not None:
                return attempt
        return None

    def mark_tried(self, identity: Identity) -> None:
        """The identity went out in the first flight: do not offer it again."""
        self._tried |= {i for i, known in enumerate(self._identities) if known == identity}

    def mark_untried(self, identity: Identity) -> None:
        """The identity is worth another try, in another way."""
        self._tried -= {i for i, known in enumerate(self._identities) if known == identity}

    def give_up(self, method: str) -> None:
        """The method cannot work here (no answer to a prompt, nothing to offer)."""
        self._done.add(method)

    def partial_success(self, attempt: Attempt) -> None:
        """One factor is accepted, more are wanted: all other identities count again."""
        used = attempt.identity
        self._tried = {i for i, known in enumerate(self._identities) if used and known == used}
        self._done.discard("publickey")

    def _next_of(self, method: str) -> Attempt | None:
        if method == "publickey":
            return self._next_identity()
        limit = self._host_keys if method == "hostbased" else self._prompts
        count = self._counts.get(method, 0) + 1
        if count > limit:
            return None
        self._counts[method] = count
        return Attempt(method, number=count)

    def _next_identity(self) -> Attempt | None:
        for place, identity in enumerate(self._identities):
            if place not in self._tried:
                self._tried.add(place)
                # An agent may ask its user to confirm: only for a key that the server wants.
                query = identity.public is not None and (
                    identity.is_interactive or identity.in_agent
                )
                return Attempt("publickey", identity, query)
        return None
