"""What ends by itself: idle channels, unused connections, vanished clients, refused ones."""

import asyncio
import signal

import pytest

from tests.integration.harness import USER
from tests.integration.login_talk import talk_to
from tests.integration.raw_client import connected, named, wait_until

pytestmark = pytest.mark.one_pair


@pytest.fixture
def for_user(tmp_path):
    """A line that gives one user these settings: for_user("MaxSessions 1", …)."""

    def line(*settings, user=USER):
        path = tmp_path / "blocks"
        path.write_text("\n  ".join((f"Match User {user}", *settings)) + "\n")
        return f"Include {path}"

    return line


def test_an_idle_session_is_closed_and_a_busy_one_is_not(own_daemon, new_client):
    daemon = own_daemon("ChannelTimeout session=1 *=1h")
    client = new_client(daemon)
    done = client("host", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.4; done; exec sleep 60")
    assert done.stdout.split() == [b"1", b"2", b"3", b"4", b"5", b"6"]
    assert daemon.wait_for_log("channel of type session closed: idle for too long")
    assert wait_until(lambda: not named(daemon, "sleep"))


def test_other_types_have_their_own_time(own_daemon, new_client):
    daemon = own_daemon("ChannelTimeout direct-tcpip=1")
    assert new_client(daemon)("host", "sleep 2; echo done").stdout == b"done\n"


def test_global_counts_all_together(own_daemon, new_client):
    daemon = own_daemon("ChannelTimeout global=1")

    async def scenario():
        async with connected(daemon, new_client(daemon).key) as client:
            quiet = await client.session()
            for _ in range(4):
                await client.run(b"sleep 0.4; echo x")
            was_open = not quiet.is_over
            await asyncio.wait_for(quiet.wait_closed(), 10)
            return was_open

    assert asyncio.run(scenario())
    assert daemon.wait_for_log("idle, as all are")


def test_an_unused_connection_ends(own_daemon, new_client):
    daemon = own_daemon("UnusedConnectionTimeout 1")
    done = new_client(daemon)("-N", "host", timeout=20)
    assert done.status == 255
    assert "unused for too long" in done.stderr
    assert daemon.wait_for_log("terminating inactive connection")
    assert new_client(daemon, "other")("host", "sleep 2; echo used").stdout == b"used\n"


def test_a_vanished_client_of_a_user_with_settings_of_its_own(own_daemon, new_client, for_user):
    daemon = own_daemon(for_user("ClientAliveInterval 1", "ClientAliveCountMax 2"),
                        "CommandTimeout 0")  # fmt: skip
    client = new_client(daemon)
    assert client("host", "sleep 4; echo still here").stdout == b"still here\n"
    with client.start("host", "echo ready; exec sleep 300") as running:
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(signal.SIGSTOP)
        try:
            assert wait_until(lambda: not named(daemon, "sleep"), 30)
            assert daemon.wait_for_log(f"Timeout, client not responding from user {USER} 127.")
        finally:
            running.kill()


def test_a_refused_connection(own_daemon, new_client, for_user):
    daemon = own_daemon(for_user("RefuseConnection yes"), "PerSourcePenalties no")
    assert new_client(daemon)("host", "true").status == 255
    assert daemon.wait_for_log(f"administratively prohibited connection for {USER} from 127.")

    async def scenario(talk):
        return await talk.client.log_in(user="somebody-else")

    answer = talk_to(daemon, new_client(daemon, "other").key, "somebody-else", scenario)
    assert answer.methods  # it may go on trying


def test_another_level_of_the_log_for_one_user(own_daemon, new_client, for_user):
    daemon = own_daemon("LogLevel ERROR", for_user("LogLevel VERBOSE"))
    assert new_client(daemon)("host", "true").status == 0
    assert daemon.wait_for_log(f"Accepted publickey for {USER} from 127.0.0.1")
    assert daemon.wait_for_log("Starting session: command")
