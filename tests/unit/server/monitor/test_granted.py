import pytest

from qsh.auth.authorized_keys import Permissions
from qsh.server.monitor.granted import ConflictError, merged, only_to_change_password

KEY = Permissions(command=b"ls", pty=False, fingerprint="SHA256:x", environment=(("A", "1"),))
PASSWORD = Permissions()


def test_one_alone():
    assert merged(None, KEY) is KEY


@pytest.mark.parametrize("pair", [(KEY, PASSWORD), (PASSWORD, KEY)])
def test_restrictions_of_either_hold(pair):
    both = merged(*pair)
    assert (both.command, both.pty, both.fingerprint) == (b"ls", False, "SHA256:x")
    assert both.environment == (("A", "1"),)
    assert both.port_forwarding


def test_two_keys():
    other = Permissions(fingerprint="y", expires=5.0, permitopen=(("h", 1),), user_rc=False,
                        verify_required=True)  # fmt: skip
    both = merged(Permissions(fingerprint="x", expires=9.0, x11_forwarding=False), other)
    assert (both.fingerprint, both.expires, both.permitopen) == ("x", 5.0, (("h", 1),))
    assert not both.user_rc
    assert not both.x11_forwarding
    assert both.verify_required


def test_each_keys_addresses_are_remembered():
    """A client that moves must still fit all of them."""
    one = Permissions(sources=("10.0.0.0/8",), source_addresses=("10.0.0.0/16",), fingerprint="x")
    other = Permissions(sources=("10.0.0.7",), source_addresses=("10.0.0.0/24",), fingerprint="y")
    both = merged(merged(merged(None, one), PASSWORD), other)
    assert both.sources == ("10.0.0.0/8", "10.0.0.7")
    assert both.source_addresses == ("10.0.0.0/16", "10.0.0.0/24")


def test_two_commands_must_agree():
    assert merged(KEY, KEY).command == b"ls"
    with pytest.raises(ConflictError):
        merged(KEY, Permissions(command=b"rm"))


def test_expired_password():
    left = only_to_change_password(Permissions())
    assert left.pty
    assert {left.port_forwarding, left.agent_forwarding, left.x11_forwarding} == {False}
