"""Which line lets a key in, and what it then may do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth.authorized_keys import Permissions, match, match_certificate, match_principals
from qsh.auth.blobs import string
from qsh.errors import IdentityError
from tests.key_making import AUTHORITY, ECDSA, ED25519, OTHER, RSA, certify

NOW = 1_800_000_000
KEY = ED25519.public
LINE = KEY.authorized_line().encode()
CA_LINE = AUTHORITY.public.authorized_line().encode()
OTHER_LINE = OTHER.public.authorized_line().encode()


def ask(text, key=KEY, *, user="alice", address="192.0.2.1", hostname="", now=NOW, **more):
    return match(
        text, "keys", key, user=user, address=address, hostname=hostname, now=now, **more
    )


def grants(options, key=KEY, line=LINE, **more):
    return ask(options + b" " + line + b" comment with words\n", key, **more) is not None


def test_a_plain_line_permits_all():
    found = ask(b"# comment\n\n  " + LINE + b" me@host\n")
    assert found == Permissions(path="keys", line=3, fingerprint=KEY.fingerprint())


def test_options_become_permissions():
    found = ask(
        b'restrict,pty,command="echo \\"a b\\"",environment="A=1",permitopen="h:22",'
        b'permitlisten="80",tunnel="2",verify-required,no-touch-required ' + LINE
    )
    assert found == Permissions(
        command=b'echo "a b"', environment=(("A", "1"),), pty=True, agent_forwarding=False,
        port_forwarding=False, x11_forwarding=False, user_rc=False, permitopen=(("h", 22),),
        permitlisten=(("*", 80),), tunnel=2, verify_required=True, no_touch_required=True,
        path="keys", line=1, fingerprint=KEY.fingerprint(),
    )


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\n\n", b"#" + LINE, OTHER_LINE, b"unknown-option " + LINE, b'command="x ' + LINE,
        LINE[:-4], LINE.replace(b"ssh-ed25519", b"ssh-rsa", 1), LINE.replace(b" ", b""),
        b"ssh-ed25519 !!!", b"pty " + b"x" * 70_000 + b" " + LINE, b"cert-authority " + LINE,
        b'command="' + LINE + b'"', b'principals="alice" ' + LINE, b"\xff\xfe " + LINE,
    ],
)
def test_what_is_in_doubt_lets_nobody_in(text):
    assert ask(text) is None


def test_the_first_line_that_grants_decides():
    text = b"\n".join((OTHER_LINE, b"bad-option " + LINE, b"no-pty " + LINE, LINE))
    assert ask(text).line == 3
    assert not ask(text).pty
    assert ask(text, OTHER.public).line == 1


def test_windows_line_ends_do_not_matter():
    assert ask(LINE + b"\r\n") is not None
    assert ask(b"no-pty " + LINE + b" c\r\n").pty is False


@pytest.mark.parametrize(
    ("source", "fits"),
    [
        ("192.0.2.1", True), ("192.0.2.0/24", True), ("192.0.2.*", True), ("198.51.100.1", False),
        ("*.example.com", True), ("*.EXAMPLE.com", True), ("!www.example.com,*", False),
        ("*,!192.0.2.0/24", False), ("192.0.2.1/24", False), ("", False), ("a,,192.0.2.1", False),
    ],
)
def test_from(source, fits):
    options = b'from="%s"' % source.encode()
    assert grants(options, hostname="www.example.com") is fits


def test_without_a_name_the_address_stands_in():
    assert not grants(b'from="*.example.com"')
    assert grants(b'from="192.*"')


@pytest.mark.parametrize(
    ("time", "fits"), [("20270115Z", False), ("20270116Z", True), ("never", False)]
)
def test_expiry(time, fits):
    assert grants(b'expiry-time="%s"' % time.encode(), now=1_800_000_001) is fits


def test_reasons_are_reported_for_the_key_itself_only():
    said = []
    text = b'from="10.0.0.0/8" ' + LINE + b"\nbad " + OTHER_LINE + b"\nbad " + LINE
    assert ask(text, report=said.append) is None
    assert said == [
        "keys:1: the key may not be used from 192.0.2.1 (192.0.2.1)",
        "keys:3: unknown key option 'bad'",
    ]


class TestCertificates:
    def test_an_authority_vouches_for_its_principals(self):
        found = ask(b"cert-authority " + CA_LINE, certify(KEY, serial=7, key_id="me"))
        assert found.certificate_id == "me"
        assert found.certificate_serial == 7
        assert found.principals == ("alice",)
        assert found.fingerprint == AUTHORITY.public.fingerprint()
        assert ask(b"cert-authority " + CA_LINE, certify(KEY), user="bob") is None

    def test_authority_and_key_are_not_mixed(self):
        certificate = certify(KEY)
        assert ask(CA_LINE, certificate) is None
        assert ask(LINE, certificate) is None
        assert ask(b"cert-authority " + LINE, certificate) is None
        assert ask(b"cert-authority " + LINE, KEY) is None
        assert ask(b"cert-authority " + CA_LINE, AUTHORITY.public) is None

    @pytest.mark.parametrize(
        ("wanted", "fits"), [("bob,alice", True), ("carol", False), ("", False), ("*", False)]
    )
    def test_principals_take_the_place_of_the_name(self, wanted, fits):
        options = b'cert-authority,principals="%s"' % wanted.encode()
        assert grants(options, certify(KEY), CA_LINE, user="root") is fits

    def test_an_empty_principal_is_nobody(self):
        nameless = certify(KEY, principals=("",))
        assert not grants(b'cert-authority,principals=""', nameless, CA_LINE)
        assert not grants(b'cert-authority,principals="bob,,alice"', nameless, CA_LINE)

    def test_key_and_certificate_must_both_permit(self):
        certificate = certify(KEY, extensions=(("permit-pty", b""), ("permit-user-rc", b"")))
        found = ask(b"cert-authority,no-pty " + CA_LINE, certificate)
        assert not found.pty
        assert found.user_rc
        assert not found.port_forwarding

    @pytest.mark.parametrize(
        ("key_side", "certificate_side", "command"),
        [
            (b"", b"c", b"c"), (b',command="k"', None, b"k"), (b',command="c"', b"c", b"c"),
            (b',command="k"', b"c", None),
        ],
    )
    def test_forced_commands_must_agree(self, key_side, certificate_side, command):
        forced = certificate_side
        critical = () if forced is None else (("force-command", string(forced)),)
        found = ask(b"cert-authority" + key_side + b" " + CA_LINE, certify(KEY, critical=critical))
        assert (found and found.command) == command

    def test_touch_is_waived_only_by_both(self):
        waived = certify(KEY, extensions=(("no-touch-required", b""),))
        waiving = b"cert-authority,no-touch-required " + CA_LINE
        assert ask(waiving, waived).no_touch_required
        assert not ask(b"cert-authority " + CA_LINE, waived).no_touch_required
        assert not ask(waiving, certify(KEY)).no_touch_required

    def test_from_binds_certificates_too(self):
        certificate = certify(KEY, critical=(("source-address", string(b"192.0.2.0/24")),))
        found = ask(b'cert-authority,from="192.0.0.0/16" ' + CA_LINE, certificate)
        assert (found.sources, found.source_addresses) == (("192.0.0.0/16",), ("192.0.2.0/24",))
        assert not grants(b'cert-authority,from="10.0.0.0/8"', certificate, CA_LINE)
        assert not grants(b"cert-authority", certificate, CA_LINE, address="10.0.0.1")

    def test_a_bad_certificate_is_refused(self):
        for certificate in (
            certify(KEY, valid=(0, NOW)), certify(KEY, kind=2), certify(KEY, principals=()),
            certify(KEY, critical=(("new", b""),)), certify(KEY, OTHER),
        ):
            assert not grants(b"cert-authority", certificate, CA_LINE)

    def test_a_trusted_authority_waives_the_touch_alone(self):
        waived = certify(KEY, extensions=(("no-touch-required", b""),))
        asked = {"user": "alice", "address": "::1", "now": NOW}
        assert match_certificate(waived, **asked).no_touch_required
        assert not match_certificate(certify(KEY), **asked).no_touch_required

    def test_trusted_authorities_need_no_line(self):
        assert match_certificate(certify(KEY), user="alice", address="::1", now=NOW).pty
        with pytest.raises(IdentityError):
            match_certificate(certify(KEY), user="bob", address="::1", now=NOW)


class TestPrincipals:
    def ask(self, text, certificate, **more):
        asked = {"user": "root", "address": "192.0.2.1", "now": NOW} | more
        return match_principals(text, "principals", certificate, **asked)

    def test_a_line_names_a_principal(self):
        text = b"# who\n\nbob\n  alice # me\n"
        assert self.ask(text, certify(KEY)).line == 4
        assert self.ask(b"bob\n", certify(KEY)) is None
        assert self.ask(b"*\n", certify(KEY)) is None
        assert self.ask(text, KEY) is None

    def test_a_line_may_have_options(self):
        found = self.ask(b'no-pty,command="a b"\talice\n', certify(KEY))
        assert (found.pty, found.command) == (False, b"a b")
        assert self.ask(b'from="10.0.0.0/8" alice\n', certify(KEY)) is None

    @pytest.mark.parametrize("options", [b"cert-authority", b'principals="alice"', b"bad"])
    def test_options_that_have_no_place_here_void_the_line(self, options):
        said = []
        assert self.ask(options + b" alice\n", certify(KEY), report=said.append) is None
        assert len(said) == 1


@pytest.mark.parametrize("key", [RSA.public, ECDSA[256].public, ECDSA[521].public])
def test_every_type_of_key(key):
    assert grants(b"no-pty", key, key.authorized_line().encode())


@given(st.binary(max_size=200))
def test_any_file_grants_nothing_by_accident(data):
    assert ask(data) is None
    assert ask(data, certify(KEY)) is None
    principals = match_principals(
        data, "p", certify(KEY), user="root", address="::1", now=NOW
    )
    assert principals is None or b"alice" in data


@given(st.binary(max_size=60).filter(lambda b: b"\n" not in b))
def test_any_options_before_the_key_give_permissions_or_none(data):
    found = ask(data + b" " + LINE)
    assert found is None or found.fingerprint == KEY.fingerprint()
