"""May a login go on from another address? The same rules as when it came in."""

import pytest

from qsh.auth.authorized_keys import Permissions
from qsh.config.server import load_server
from qsh.server.accounts.accounts import own_account
from qsh.server.monitor.login_check import Login
from qsh.server.monitor.moves import refusal

LOCAL = ("192.0.2.2", 22)
NAME = own_account().name


def judge(address, *lines, tmp_path, **permissions):
    path = tmp_path / "qshd_config"
    path.write_text("\n".join(lines) + "\n")
    config = load_server(str(path))
    login = Login(own_account(), Permissions(**permissions), config.settings)
    return refusal(login, config, LOCAL, address)


def test_without_rules_it_may_come_from_everywhere(tmp_path):
    assert judge("203.0.113.9", tmp_path=tmp_path) == ""
    assert judge("2001:db8::1", tmp_path=tmp_path) == ""


@pytest.mark.parametrize(
    ("address", "may"),
    [("198.51.100.7", True), ("198.51.101.7", False), ("198.51.100.9", False), ("::1", False)],
)
def test_from_of_the_key(tmp_path, address, may):
    why = judge(address, tmp_path=tmp_path, sources=("198.51.100.0/24,!198.51.100.9",))
    assert (why == "") is may


def test_names_in_from_vouch_for_no_new_address(tmp_path):
    assert judge("198.51.100.7", tmp_path=tmp_path, sources=("*.example.org",))


def test_source_address_of_the_certificate(tmp_path):
    networks = {"source_addresses": ("198.51.100.0/24",)}
    assert judge("198.51.100.7", tmp_path=tmp_path, **networks) == ""
    assert judge("203.0.113.9", tmp_path=tmp_path, **networks)


def test_allow_users_with_a_host(tmp_path):
    line = f"AllowUsers {NAME}@198.51.100.0/24"
    assert judge("198.51.100.7", line, tmp_path=tmp_path) == ""
    assert "AllowUsers" in judge("203.0.113.9", line, tmp_path=tmp_path)


def test_match_blocks_that_would_give_another_login(tmp_path):
    lines = ["Match Address 203.0.113.0/24", "  PermitTTY no"]
    assert judge("198.51.100.7", *lines, tmp_path=tmp_path) == ""
    assert "Match" in judge("203.0.113.9", *lines, tmp_path=tmp_path)


@pytest.mark.parametrize("address", ["", "nonsense", "1.2.3.4.5", "x" * 5000])
def test_what_is_no_address_is_no_error(tmp_path, address):
    assert judge(address, tmp_path=tmp_path, sources=("198.51.100.0/24",))
