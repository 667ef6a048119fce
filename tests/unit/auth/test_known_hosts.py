"""known_hosts: what is known, unknown, changed and revoked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth.known_hosts import MAX_LINE, Kind, host_name, load
from qsh.auth.known_hosts_file import hash_name
from tests.key_making import AUTHORITY, ECDSA, ED25519, OTHER, RSA, certify

NOW = 1_800_000_000
KEY = ED25519.public


def line(hosts, key=KEY, marker=""):
    return f"{marker} {hosts} {key.authorized_line()} comment".strip() + "\n"


def hosts(*lines):
    return load((), [("known", "".join(lines).encode())])


def check(known, host="host", port=22, key=KEY, address=None, **more):
    return known.check(host, port, address, key, NOW, **more)


@pytest.mark.parametrize(
    ("field", "host", "port", "kind"),
    [
        ("host", "host", 22, Kind.KNOWN),
        ("host", "HOST", 22, Kind.KNOWN),
        ("Host", "host", 22, Kind.KNOWN),
        ("other,host", "host", 22, Kind.KNOWN),
        ("*.example.com", "a.example.com", 22, Kind.KNOWN),
        ("*.example.com,!a.example.com", "a.example.com", 22, Kind.UNKNOWN),
        ("!a.example.com,*.example.com", "b.example.com", 22, Kind.KNOWN),
        ("h?st", "host", 22, Kind.KNOWN),
        ("[host]:2222", "host", 2222, Kind.KNOWN),
        ("[host]:2222", "host", 22, Kind.UNKNOWN),
        ("[host]:2222", "host", 2223, Kind.UNKNOWN),
        ("host", "host", 2222, Kind.KNOWN),
        ("[*]:2222", "host", 2222, Kind.KNOWN),
        ("::1", "::1", 22, Kind.KNOWN),
        ("[::1]:2222", "::1", 2222, Kind.KNOWN),
        ("hos", "host", 22, Kind.UNKNOWN),
        (hash_name("host", b"s" * 20), "host", 22, Kind.KNOWN),
        (hash_name("host", b"s" * 20), "Host", 22, Kind.KNOWN),
        (hash_name("[host]:2222", b"s" * 20), "host", 2222, Kind.KNOWN),
        (hash_name("other", b"s" * 20), "host", 22, Kind.UNKNOWN),
        (hash_name("host", b"s" * 19), "host", 22, Kind.UNKNOWN),
        ("|1|!!|!!", "host", 22, Kind.UNKNOWN),
        ("|2|AAAA|AAAA", "host", 22, Kind.UNKNOWN),
        ("|1|AAAA", "host", 22, Kind.UNKNOWN),
    ],
)
def test_which_names_a_line_means(field, host, port, kind):
    assert check(hosts(line(field)), host, port).kind is kind


def test_the_verdict_names_the_line():
    found = check(hosts("# comment\n", "\n", line("other"), line("host")))
    assert (found.kind, found.path, found.line) == (Kind.KNOWN, "known", 4)
    assert check(hosts(line("a", OTHER.public))).line == 0


def test_a_changed_key_names_the_last_line_of_its_type():
    known = hosts(line("host", RSA.public), line("host", OTHER.public))
    found = check(known)
    assert (found.kind, found.line, found.other_types) == (Kind.CHANGED, 2, ())


def test_keys_of_other_types_must_be_proved_first():
    known = hosts(line("host", RSA.public), line("host", ECDSA[256].public))
    found = check(known)
    assert found.kind is Kind.CHANGED
    assert found.other_types == ("ssh-rsa", "ecdsa-sha2-nistp256")


def test_one_of_several_keys_is_enough():
    known = hosts(line("host", OTHER.public), line("host", RSA.public), line("host"))
    assert check(known).line == 3
    assert check(known, key=RSA.public).line == 2


def test_a_line_for_any_port_may_vouch_but_not_accuse():
    assert check(hosts(line("host", OTHER.public)), port=2222).kind is Kind.UNKNOWN
    known = hosts(line("[host]:2222", OTHER.public), line("host"))
    assert check(known, port=2222).kind is Kind.CHANGED


def test_a_revoked_certificate_takes_its_key_along():
    known = hosts(line("host"), line("*", certify(KEY), "@revoked"))
    assert check(known).kind is Kind.REVOKED
    assert check(hosts(line("host", certify(KEY)))).kind is Kind.UNKNOWN


def test_a_revoked_key_is_never_good():
    known = hosts(line("host"), line("*", marker="@revoked"))
    found = check(known)
    assert (found.kind, found.line) == (Kind.REVOKED, 2)
    assert check(known, port=2222).kind is Kind.REVOKED
    assert check(known, key=OTHER.public).kind is Kind.CHANGED


def test_files_are_asked_in_their_order(tmp_path):
    for name, key in (("one", OTHER.public), ("two", KEY)):
        (tmp_path / name).write_text(line("host", key))
    paths = [str(tmp_path / name) for name in ("missing", "one", "two")]
    found = check(load(paths))
    assert (found.kind, found.path, found.line) == (Kind.KNOWN, paths[2], 1)
    assert [e.path for e in load(paths).entries("host", 22)] == paths[1:]


def test_what_cannot_be_read_counts_as_empty(tmp_path):
    assert check(load([str(tmp_path), "/nonexistent", "a\0b"])).kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    "bad",
    [
        "host\n", "host ssh-ed25519\n", "host ssh-ed25519 AAAA\n", "host ssh-ed25519 !!!\n",
        f"host ssh-rsa {KEY.authorized_line().split()[1]}\n", "@unknown " + line("host"),
        "@revoked @revoked " + line("host"), "@\n", "host 2048 65537 12345\n",
        line("host", certify(KEY)), "#" + line("host"), "x" * (2 * MAX_LINE) + " " + line("host"),
    ],
)
def test_a_bad_line_is_passed_over(bad):
    assert check(hosts(bad)).kind is Kind.UNKNOWN
    assert check(hosts(bad, line("host"))).line == 2


def test_an_over_long_line_costs_nothing(tmp_path):
    path = tmp_path / "known"
    path.write_bytes(b"x" * 10_000_000 + b"\n" + line("host").encode())
    found = check(load([str(path)]))
    assert (found.kind, found.line) == (Kind.KNOWN, 2)


def test_no_newline_at_the_end():
    assert check(hosts(line("host").rstrip("\n"))).kind is Kind.KNOWN


class TestAuthorities:
    CERTIFICATE = certify(KEY, kind=2, principals=("host",))

    def test_an_authority_vouches(self):
        known = hosts(line("h*", AUTHORITY.public, "@cert-authority"))
        found = check(known, key=self.CERTIFICATE)
        assert (found.kind, found.line, found.by_authority) == (Kind.KNOWN, 1, True)
        assert check(known, key=self.CERTIFICATE, port=2222).by_authority

    def test_an_authority_is_no_host_key(self):
        known = hosts(line("host", AUTHORITY.public, "@cert-authority"))
        assert check(known, key=AUTHORITY.public).kind is Kind.UNKNOWN
        assert check(known, key=KEY).kind is Kind.UNKNOWN

    def test_an_authority_vouches_for_its_hosts_only(self):
        known = hosts(line("*.example.com", AUTHORITY.public, "@cert-authority"))
        found = check(known, key=self.CERTIFICATE)
        assert found.kind is Kind.UNKNOWN
        assert "no authority" in found.certificate_problem

    @pytest.mark.parametrize(
        "certificate",
        [
            certify(KEY, kind=2, principals=("other",)),
            certify(KEY, kind=2, principals=("host",), valid=(0, NOW)),
            certify(KEY, kind=1, principals=("host",)),
            certify(KEY, OTHER, kind=2, principals=("host",)),
        ],
    )
    def test_a_bad_certificate_leaves_the_plain_key(self, certificate):
        authority = line("host", AUTHORITY.public, "@cert-authority")
        found = check(hosts(authority), key=certificate)
        assert found.kind is Kind.UNKNOWN
        assert found.certificate_problem
        found = check(hosts(authority, line("host")), key=certificate)
        assert (found.kind, found.by_authority) == (Kind.KNOWN, False)
        assert check(hosts(authority, line("host", OTHER.public)), key=certificate).kind is (
            Kind.CHANGED
        )

    @pytest.mark.parametrize("revoked", [KEY, AUTHORITY.public])
    def test_key_or_authority_may_be_revoked(self, revoked):
        known = hosts(
            line("host", AUTHORITY.public, "@cert-authority"), line("*", revoked, "@revoked")
        )
        assert check(known, key=self.CERTIFICATE).kind is Kind.REVOKED

    def test_no_algorithm_allowed_is_no_certificate(self):
        known = hosts(line("host", AUTHORITY.public, "@cert-authority"))
        found = check(known, key=self.CERTIFICATE, ca_algorithms=frozenset())
        assert found.kind is Kind.UNKNOWN

    def test_the_alias_is_the_principal(self):
        known = hosts(line("alias", AUTHORITY.public, "@cert-authority"))
        certificate = certify(KEY, kind=2, principals=("alias",))
        assert check(known, "10.0.0.1", 2222, certificate, alias="Alias").by_authority


def test_an_alias_is_looked_up_without_a_port():
    known = hosts(line("alias"), line("host", OTHER.public))
    assert check(known, port=2222, alias="alias").kind is Kind.KNOWN
    assert check(known, alias="other").kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("by_name", "by_address", "kind"),
    [
        (KEY, KEY, Kind.KNOWN), (KEY, None, Kind.KNOWN), (KEY, OTHER.public, Kind.CHANGED),
        (None, KEY, Kind.UNKNOWN), (None, OTHER.public, Kind.CHANGED),
    ],
)
def test_check_host_ip(by_name, by_address, kind):
    known = hosts(*(line(n, k) for n, k in (("host", by_name), ("192.0.2.1", by_address)) if k))
    assert check(known, address="192.0.2.1").kind is kind
    assert check(known).kind is (Kind.KNOWN if by_name else Kind.UNKNOWN)


def test_known_keys_order_the_algorithms():
    revoked = line("*", OTHER.public, "@revoked")
    known = hosts(line("host", RSA.public), line("[host]:2222"), revoked)
    assert known.known_keys("host", 22) == (RSA.public,)
    assert known.known_keys("host", 2222) == (KEY,)
    assert known.known_keys("host", 2223) == (RSA.public,)
    assert known.known_keys("none", 22) == ()


def test_host_names():
    assert host_name("Host", 22) == "host"
    assert host_name("::1", 2222) == "[::1]:2222"


@given(st.binary(max_size=300))
def test_any_file_vouches_for_nobody_by_accident(data):
    assert check(load((), [("known", data)])).kind is Kind.UNKNOWN


@given(st.text(max_size=30), st.integers(0, 70_000))
def test_any_host_can_be_asked(host, port):
    known = hosts(line("host"), line("*x*", OTHER.public), line(hash_name("a", b"s" * 20)))
    assert check(known, host, port).kind in Kind
