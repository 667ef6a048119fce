"""The opener by its socket alone: whatever a worker asks, the rules are kept."""

import asyncio
import contextlib
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.forward.permissions import Endpoint, ForwardRules, GatewayPorts
from qsh.net.tasks import spawn
from qsh.server.accounts.accounts import own_account
from qsh.server.holder.opener import Opener
from qsh.server.holder.opener_messages import (
    MAX_MESSAGE,
    REPLIES,
    REQUESTS,
    ConnectTcp,
    ConnectUdp,
    ConnectUnix,
    Failed,
    Forbidden,
    ListenAgent,
    ListenTcp,
    ListenUdp,
    ListenUnix,
    Opened,
    Unlink,
)
from qsh.server.monitor.forward_rules import OpenerPlan
from qsh.wire.codec import encode

LOCALHOST = "127.0.0.1"
NOTHING = ForwardRules(False, False, False, False, False)


def conversation(requests, *rules, unlink=False):
    """[(reply, sockets)] of an opener under these rules, in the order of the requests."""

    async def main():
        ours, openers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        plan = OpenerPlan(own_account(), rules, GatewayPorts.NO, 0o177, unlink)
        serving = spawn(Opener(plan, openers).run(), "opener")
        found = []
        for request in requests:
            await asyncio.get_running_loop().run_in_executor(None, ours.send, encode(request))
            received = await asyncio.get_running_loop().run_in_executor(
                None, socket.recv_fds, ours, MAX_MESSAGE, 8
            )
            found.append((REPLIES.decode(received[0]), received[1]))
        ours.close()
        await serving
        return [(reply, [socket.socket(fileno=fd) for fd in fds]) for reply, fds in found]

    return asyncio.run(main())


ALL_KINDS = (
    ConnectTcp(1, LOCALHOST, 1), ConnectUdp(1, LOCALHOST, 1), ConnectUnix(1, "/x"),
    ListenTcp(1, "localhost", 0), ListenUdp(1, "localhost", 0), ListenUnix(1, "/tmp/x"),
    ListenAgent(1),
)  # fmt: skip


@pytest.mark.parametrize("request_", ALL_KINDS, ids=lambda r: type(r).__name__)
def test_without_permission_nothing_is_opened(request_):
    for rules in ((NOTHING,), (ForwardRules(), NOTHING), (NOTHING, ForwardRules())):
        [(reply, sockets)] = conversation([request_], *rules)
        assert isinstance(reply, Forbidden)
        assert sockets == []


def test_connecting_goes_by_the_named_places():
    with socket.create_server((LOCALHOST, 0)) as server:
        port = server.getsockname()[1]
        rules = ForwardRules(opens=(Endpoint(LOCALHOST, port),))
        replies = conversation(
            [ConnectTcp(7, LOCALHOST, port), ConnectTcp(8, "localhost", port)], rules
        )
        (opened, [sock]), (forbidden, []) = replies
        assert opened == Opened(7)
        assert isinstance(forbidden, Forbidden)
        assert sock.getpeername() == (LOCALHOST, port)
        sock.close()


def test_listening_is_on_the_loopback_interface_only():
    [(reply, sockets)] = conversation([ListenTcp(1, "", 0)], ForwardRules())
    assert reply == Opened(1)
    names = [sock.getsockname() for sock in sockets]
    assert {name[0] for name in names} <= {LOCALHOST, "::1"}
    assert len({name[1] for name in names}) == 1
    for sock in sockets:
        sock.close()


def test_ports_of_root_are_not_for_users(monkeypatch):
    account = own_account()
    monkeypatch.setattr(
        "tests.unit.server.holder.test_opener.own_account",
        lambda: type(account)(**{n: getattr(account, n) for n in account.__slots__} | {"uid": 1}),
    )
    [(reply, _)] = conversation([ListenTcp(1, "localhost", 1023)], ForwardRules())
    assert isinstance(reply, Forbidden)


def test_failures_carry_the_systems_number(tmp_path):
    path = str(tmp_path / "missing")
    [(unix, _), (name, _), (nul, _)] = conversation(
        [ConnectUnix(1, path), ConnectTcp(2, "no-such-name.invalid", 1), ConnectUnix(3, "a\0b")],
        ForwardRules(),
    )
    assert unix == Failed(1, 2, os.strerror(2))
    assert isinstance(name, Failed)
    assert isinstance(nul, Failed)


def test_unix_sockets_go_with_the_opener_and_nothing_else_does(tmp_path):
    path, other = tmp_path / "made", tmp_path / "other"
    other.write_text("mine")
    [(reply, [sock]), _] = conversation(
        [ListenUnix(1, str(path)), Unlink(2, str(other))], ForwardRules()
    )
    assert reply == Opened(1)
    assert not path.exists()
    assert other.exists()
    sock.close()


def test_a_file_in_the_way_is_never_removed(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    [(reply, _)] = conversation([ListenUnix(1, str(path))], ForwardRules(), unlink=True)
    assert isinstance(reply, Failed)
    assert path.read_text() == "mine"


def test_the_agents_folder_is_the_users_and_goes_with_the_opener():
    [(reply, [sock]), (again, _)] = conversation([ListenAgent(1), ListenAgent(2)], ForwardRules())
    assert reply.path.startswith("/tmp/qsh-")
    assert isinstance(again, Failed)
    assert not os.path.exists(os.path.dirname(reply.path))
    sock.close()


@given(st.binary(max_size=200))
def test_any_bytes_give_a_message_or_an_error(data):
    for registry in (REQUESTS, REPLIES):
        with contextlib.suppress(DecodeError):
            registry.decode(data)
