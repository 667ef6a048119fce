"""KexAlgorithms: SSH's names of key exchanges, and the groups of TLS 1.3 that do the same."""

from qsh.config.values import AlgorithmList, Kind, Words, read_algorithms

GROUPS = {
    "mlkem768x25519-sha256": "X25519MLKEM768",
    "curve25519-sha256": "x25519",
    "curve25519-sha256@libssh.org": "x25519",
    "ecdh-sha2-nistp256": "secp256r1",
    "ecdh-sha2-nistp384": "secp384r1",
}
"""The preferred first: RFC 8446 section 4.2.7, draft-ietf-tls-ecdhe-mlkem. Finite fields and
sntrup761 have no counterpart that any of the engines knows."""
POST_QUANTUM = frozenset({"X25519MLKEM768"})
"""Groups that withstand a quantum computer."""


def groups_of(wanted: AlgorithmList) -> Words:
    """The groups that a list leaves, in its order; empty for the engine's own choice."""
    if wanted == AlgorithmList():
        return ()
    names = wanted.resolve(tuple(GROUPS), tuple(set(GROUPS.values())))
    return tuple(dict.fromkeys(GROUPS.get(name, name) for name in names))


def _read(words: Words) -> AlgorithmList:
    wanted = read_algorithms(words)
    if not groups_of(wanted):
        raise ValueError(f"{words[0]!r} leaves no key exchange: there are {', '.join(GROUPS)}")
    return wanted


KEY_EXCHANGES = Kind(_read)
"""A list that leaves something."""
