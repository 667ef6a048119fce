"""authorized_keys: what stands before a key decides what may be done with it (sshd(8))."""

import pytest

from tests.integration.harness import make_key, public

pytestmark = pytest.mark.one_pair


@pytest.fixture
def limited(qsh, daemon):
    """limited('command="…"'): the client, its key authorized with these options."""

    def with_options(options):
        daemon.authorize(f"{options} {public(qsh.key)}")
        return qsh

    return with_options


def test_a_forced_command_runs_instead_and_knows_what_was_asked_for(limited):
    qsh = limited('command="echo forced: $SSH_ORIGINAL_COMMAND"')
    assert qsh("host", "rm -rf x").stdout == b"forced: rm -rf x\n"
    assert qsh("host").stdout == b"forced:\n"


def test_a_forced_command_gives_its_own_exit_status(limited):
    assert limited('command="exit 9"')("host", "true").status == 9


@pytest.mark.parametrize("pattern", ["127.0.0.1", "127.0.0.0/8", "192.0.2.1,127.*"])
def test_from_lets_matching_addresses_in(limited, pattern):
    assert limited(f'from="{pattern}"')("host", "true").status == 0


@pytest.mark.parametrize("pattern", ["192.0.2.1", "10.0.0.0/8", "*,!127.0.0.1", "!127.0.0.1"])
def test_from_keeps_other_addresses_out(limited, pattern):
    assert limited(f'from="{pattern}"')("host", "true").status == 255


@pytest.mark.parametrize("options", ["restrict", "no-pty"])
def test_no_terminal_where_none_is_permitted(limited, options):
    qsh = limited(options)
    assert qsh("host", "echo in").stdout == b"in\n"
    result = qsh("-tt", "host", "tty")
    assert not result.stdout.startswith(b"/dev/")
    assert "terminal" in result.stderr


def test_restrict_may_give_the_terminal_back(limited):
    assert limited("restrict,pty")("-tt", "host", "tty").stdout.startswith(b"/dev/pts/")


def test_a_key_expires(limited):
    assert limited('expiry-time="20200101"')("host", "true").status == 255
    assert limited('expiry-time="20991231"')("host", "true").status == 0


def test_environment_is_set_only_where_the_server_permits_it(own_daemon, new_client):
    for permit, expected in (("yes", b"[x y]\n"), ("no", b"[]\n"), ("QSH_*", b"[x y]\n")):
        daemon = own_daemon(f"PermitUserEnvironment {permit}")
        qsh = new_client(daemon)
        daemon.authorize(f'environment="QSH_TEST=x y" {public(qsh.key)}')
        assert qsh("host", 'echo "[$QSH_TEST]"').stdout == expected


@pytest.mark.parametrize("options", ["no-such-option", 'command="unclosed', "cert-authority"])
def test_a_line_that_is_not_understood_or_not_for_plain_keys_lets_nobody_in(limited, options):
    assert limited(options)("host", "true").status == 255


def test_other_lines_and_comments_do_no_harm(qsh, daemon, tmp_path):
    other = public(make_key(tmp_path / "other"))
    daemon.authorize("# mine", "", "garbage here", f"no-pty {other}", public(qsh.key))
    assert qsh("host", "echo in").stdout == b"in\n"


def test_the_first_line_with_the_key_counts(qsh, daemon):
    daemon.authorize(f'command="echo first" {public(qsh.key)}', public(qsh.key))
    assert qsh("host", "echo mine").stdout == b"first\n"


def test_changes_hold_for_the_next_login_at_once(qsh, daemon):
    assert qsh("host", "true").status == 0
    daemon.authorize()
    assert qsh("host", "true").status == 255
    daemon.authorize(public(qsh.key))
    assert qsh("host", "true").status == 0
