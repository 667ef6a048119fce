"""A remote command: its exit status, its streams byte for byte, its environment."""

import hashlib
import os
import signal
import subprocess
import time

import pytest

from tests.integration.harness import process_is_gone

MEGABYTE = 1 << 20
ALL_BYTES = bytes(range(256))


@pytest.mark.parametrize("status", [0, 1, 7, 254])
def test_exit_status_is_the_commands(qsh, status):
    assert qsh("host", f"exit {status}").status == status


def test_a_command_that_does_not_exist_gives_127(qsh):
    result = qsh("host", "no-such-command")
    assert result.status == 127
    assert "not found" in result.stderr


def test_a_command_ended_by_a_signal_gives_128_and_its_number(qsh):
    result = qsh("host", "kill -KILL $$")
    assert result.status == 128 + signal.SIGKILL
    assert "KILL" in result.stderr


def test_stdout_and_stderr_are_kept_apart(qsh):
    result = qsh("host", "echo out; echo err >&2; exit 7")
    assert (result.status, result.stdout, result.stderr) == (7, b"out\n", "err\n")


def test_words_are_joined_for_the_remote_shell_as_ssh_does(qsh):
    assert qsh("host", "echo", "a  b", "'$HOME'").stdout == b"a b $HOME\n"


def test_every_byte_value_passes_both_ways(qsh):
    data = ALL_BYTES * 300
    assert qsh("host", "cat", stdin=data).stdout == data
    assert qsh("host", "cat >&2", stdin=b"\x1b[0m plain").stderr == "\x1b[0m plain"


@pytest.mark.timeout(300)
def test_100_megabytes_go_up_unchanged(qsh):
    data = os.urandom(MEGABYTE) * 100
    result = qsh("host", "sha256sum", stdin=data, timeout=120)
    assert result.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


@pytest.mark.timeout(300)
def test_100_megabytes_come_down_unchanged(qsh, tmp_path):
    (tmp_path / "data").write_bytes(os.urandom(MEGABYTE) * 100)
    result = qsh("host", f"cat {tmp_path}/data", timeout=120)
    assert hashlib.sha256(result.stdout).digest() == file_digest(tmp_path / "data")


def file_digest(path):
    return hashlib.sha256(path.read_bytes()).digest()


@pytest.mark.timeout(300)
def test_both_directions_at_once(qsh):
    data = os.urandom(MEGABYTE) * 20
    assert qsh("host", "cat", stdin=data, timeout=120).stdout == data


def test_the_end_of_input_reaches_the_command_while_its_output_goes_on(qsh):
    result = qsh("host", "cat >/dev/null; sleep 0.3; echo late", stdin=b"x")
    assert (result.status, result.stdout) == (0, b"late\n")


def test_input_goes_on_after_the_command_closed_its_output(qsh, tmp_path):
    data = os.urandom(3 * MEGABYTE)
    result = qsh("host", f"exec >&- 2>&-; sleep 0.2; exec cat >{tmp_path}/got", stdin=data)
    assert result.status == 0
    assert (tmp_path / "got").read_bytes() == data


def test_a_command_that_does_not_read_its_input_is_no_obstacle(qsh):
    assert qsh("host", "exit 3", stdin=bytes(20 * MEGABYTE)).status == 3


def test_output_is_complete_when_the_command_ends_at_once(qsh):
    for _ in range(5):
        assert len(qsh("host", "head -c 300000 /dev/zero").stdout) == 300_000


def test_a_reader_that_goes_away_ends_the_command(qsh):
    process = qsh.start("host", "yes", stdin=subprocess.DEVNULL)
    try:
        assert [process.stdout.readline() for _ in range(2)] == [b"y\n"] * 2
        process.stdout.close()
        assert process.wait(30) == 128 + signal.SIGPIPE
        assert b"Traceback" not in process.stderr.read()
    finally:
        process.kill()


def test_n_takes_no_input(qsh):
    result = qsh("-n", "host", "cat; echo end", stdin=b"not for you")
    assert result.stdout == b"end\n"


def test_without_a_terminal_the_command_has_none(qsh):
    assert qsh("host", "tty").stdout == b"not a tty\n"


def test_tt_gives_a_terminal_even_without_one_here(qsh):
    assert qsh("-tt", "host", "tty").stdout.startswith(b"/dev/pts/")


def test_when_the_client_is_ended_the_command_sees_the_end_of_its_input(qsh, tmp_path):
    mark = tmp_path / "pid"
    process = qsh.start("host", f"echo $$ >{mark}; exec cat")
    wait_until(lambda: mark.exists() and mark.read_text().strip())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process_is_gone(int(mark.read_text()))


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def test_many_commands_at_once(qsh):
    running = [qsh.start("host", f"cat; exit {n}") for n in range(6)]
    results = [process.communicate(b"%d" % n, timeout=60)[0] for n, process in enumerate(running)]
    assert results == [b"%d" % n for n in range(6)]
    assert [process.returncode for process in running] == list(range(6))


# -- environment


def test_the_command_knows_where_it_was_called_from(qsh, daemon):
    words = qsh("host", 'echo "$SSH_CONNECTION"; echo "$SSH_CLIENT"').stdout.decode().split()
    address, port, local_address, local_port = words[:4]
    assert (address, local_address, local_port) == ("127.0.0.1", "127.0.0.1", str(daemon.port))
    assert words[4:] == [address, port, local_port]


def test_the_environment_is_the_accounts_own(qsh):
    lines = qsh("host", 'echo "$USER $LOGNAME"; pwd; echo "$HOME"').stdout.decode().split("\n")
    user, home, again, _ = lines
    assert len(set(user.split())) == 1
    assert home == again


@pytest.mark.one_pair
def test_sendenv_and_setenv_pass_what_acceptenv_allows(own_daemon, new_client):
    qsh = new_client(own_daemon("AcceptEnv SHOWN_*"))
    options = ["-o", "SendEnv=SHOWN_A HIDDEN", "-o", "SetEnv=SHOWN_B=two"]
    command = 'echo "$SHOWN_A|$SHOWN_B|$HIDDEN"'
    result = qsh(*options, "host", command, env={"SHOWN_A": "one", "HIDDEN": "x"})
    assert result.stdout == b"one|two|\n"


@pytest.mark.one_pair
def test_nothing_is_accepted_that_acceptenv_does_not_name(qsh):
    assert qsh("-o", "SetEnv=OTHER=x", "host", 'echo "[$OTHER]"').stdout == b"[]\n"


# -- the command line


@pytest.mark.one_pair
@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["--no-such-option", "host"], "--no-such-option"),
     (["-o", "NoSuchKeyword=1", "host"], "nosuchkeyword"),
     (["-o", "StrictHostKeyChecking=perhaps", "host"], "perhaps"),
     (["-p", "none", "host"], "none"), (["-K", "host"], "-K"), ([], "no host")],
)  # fmt: skip
def test_what_is_not_understood_is_named_and_nothing_is_done(qsh, arguments, named):
    result = qsh(*arguments)
    assert result.status == 255
    assert result.stderr.startswith("qsh: ")
    assert named.lower() in result.stderr.lower()
    assert "Traceback" not in result.stderr


@pytest.mark.one_pair
def test_an_unknown_keyword_in_the_config_is_told_with_file_and_line(qsh):
    qsh.configure("NoSuchKeyword yes")
    result = qsh("host", "true")
    assert result.status == 255
    assert "nosuchkeyword" in result.stderr.lower()
    assert str(qsh.config) in result.stderr
    assert "2" in result.stderr
    qsh.configure("IgnoreUnknown NoSuch*", "NoSuchKeyword yes")
    assert qsh("host", "true").status == 0


@pytest.mark.one_pair
def test_destinations_may_be_uris(qsh, daemon):
    user = qsh("host", "id -un").stdout.decode().strip()
    options = ["-i", qsh.key, "-o", f"UserKnownHostsFile={qsh.known_hosts}"]
    for scheme in ("ssh", "qsh"):
        where = f"{scheme}://{user}@127.0.0.1:{daemon.port}"
        assert qsh(*options, where, "echo", "there").stdout == b"there\n"


@pytest.mark.one_pair
def test_verbose_tells_the_story_and_quiet_tells_nothing(qsh, engines):
    story = qsh("-v", "host", "true").stderr
    assert engines[0] in story
    assert qsh("-q", "host", "true").stderr == ""


@pytest.mark.one_pair
def test_nobody_listening_is_an_error_in_a_line(qsh):
    result = qsh("-o", "ConnectTimeout=2", "-p", "9", "host", "true", timeout=10)
    assert result.status == 255
    assert result.stderr.startswith("qsh: ")
    assert "127.0.0.1" in result.stderr


@pytest.mark.one_pair
def test_an_unknown_host_name_is_an_error_in_a_line(qsh):
    result = qsh("no-such-host.invalid", "true", timeout=30)
    assert result.status == 255
    assert "no-such-host.invalid" in result.stderr
