"""The login dialogue, and what waits for it."""

import pytest

from qsh.errors import RemoteProtocolError
from qsh.wire import events
from qsh.wire.channel import EARLY_WINDOW, INITIAL_WINDOW
from qsh.wire.channel_messages import SessionOpen
from qsh.wire.codec import encode
from qsh.wire.connection import MAX_HELD, Connection, Role
from qsh.wire.framing import frame
from qsh.wire.start_messages import ExecRequest
from qsh.wire.userauth_messages import (
    ADDENDUM,
    SERVICE,
    InfoRequest,
    KeyboardInteractiveRequest,
    NoneRequest,
    PasswordRequest,
    Prompt,
    PublicKeyRequest,
    UserauthRequest,
)
from tests.unit.wire.conftest import Pair


def test_login_and_command_go_in_one_flight(pair: Pair) -> None:
    pair.client.trust()
    pair.client.client_login.request("ada", PublicKeyRequest("ssh-ed25519", b"key", b"sig"))
    channel = pair.client.open_channel(4, SessionOpen())
    channel.send_request(ExecRequest(b"true"))
    assert channel.send_data(b"x" * 100_000) == EARLY_WINDOW

    [request] = pair.take(Role.SERVER)  # the channel is held until the login stands
    assert request == events.LoginRequested(
        "ada",
        "ssh-connection",
        "publickey",
        PublicKeyRequest("ssh-ed25519", b"key", b"sig"),
        request.raw,
    )
    assert pair.server.channels == {}
    pair.server.server_login.accept()
    success, offered, requested, data = pair.take(Role.SERVER)[:4]
    assert success == events.LoginSucceeded()
    assert isinstance(offered.channel.body, SessionOpen)
    assert requested.body == ExecRequest(b"true")
    assert data.data == b"x" * EARLY_WINDOW
    offered.channel.accept()
    kinds = [type(e) for e in pair.take(Role.CLIENT)]
    assert kinds[:2] == [events.LoginSucceeded, events.ChannelConfirmed]
    assert channel.send_window() == INITIAL_WINDOW - EARLY_WINDOW


def test_a_server_holds_no_more_than_its_bound_before_the_login() -> None:
    server = Connection(Role.SERVER)
    server.receive_stream_data(4, b"\0" * MAX_HELD, False)
    with pytest.raises(RemoteProtocolError):
        server.receive_stream_data(8, b"\0", False)


def test_a_server_holds_few_streams_before_the_login() -> None:
    server = Connection(Role.SERVER)
    with pytest.raises(RemoteProtocolError):
        for stream_id in range(4, 400, 4):
            server.receive_stream_data(stream_id, b"", False)


def test_a_client_hears_nothing_before_it_trusts_the_host(pair: Pair) -> None:
    pair.server.server_login.banner("hello")
    pair.move(pair.server, pair.client)
    assert pair.log[Role.CLIENT] == []
    pair.client.trust()
    assert pair.take(Role.CLIENT) == [events.BannerReceived("hello")]


def test_an_aborted_stream_is_forgotten_before_the_login() -> None:
    server = Connection(Role.SERVER)
    server.receive_stream_data(4, b"\0" * MAX_HELD, False)
    server.receive_abort(4, 0)
    server.receive_stream_data(8, b"\0" * MAX_HELD, False)


def test_several_rounds_of_questions(pair: Pair) -> None:
    pair.client.trust()
    login = pair.client.client_login
    login.request("ada", KeyboardInteractiveRequest())
    pair.run()
    for text in ("Password: ", "Code: "):
        pair.server.server_login.ask(InfoRequest("", "", (Prompt(text, False),)))
        [asked] = pair.take(Role.CLIENT)
        assert asked == events.InfoAsked("", "", (Prompt(text, False),))
        login.respond(("secret",))
        assert pair.take(Role.SERVER)[-1] == events.InfoAnswered(("secret",))
    pair.server.server_login.refuse(("publickey",), partial=True)
    assert pair.take(Role.CLIENT) == [events.LoginFailed(("publickey",), True)]
    login.request("ada", PasswordRequest("pw"))
    pair.run()
    pair.server.server_login.ask_new_password("expired")
    assert pair.take(Role.CLIENT) == [events.PasswordChangeAsked("expired")]


def test_requests_sent_ahead_are_answered_one_by_one() -> None:
    server = Connection(Role.SERVER)
    ahead = Connection(Role.CLIENT)
    for _ in range(3):
        ahead.client_login.request("ada", NoneRequest())
        for output in ahead.data_to_send():
            server.receive_stream_data(output.stream_id, output.data, output.fin)
        ahead = Connection(Role.CLIENT)
    assert isinstance(server.next_event(), events.LoginRequested)
    assert server.next_event() is None
    server.server_login.refuse(())
    assert isinstance(server.next_event(), events.LoginRequested)


def test_too_many_login_requests_ahead_end_the_connection() -> None:
    server = Connection(Role.SERVER)
    client = Connection(Role.CLIENT)
    client.client_login.request("ada", NoneRequest())
    [request] = client.data_to_send()
    with pytest.raises(RemoteProtocolError):
        for _ in range(20):
            server.receive_stream_data(0, request.data, False)


@pytest.mark.parametrize("name", ["", "x" * 65, "none for root", "né", "a\nb"])
def test_services_and_methods_bear_sound_names(name: str) -> None:
    for request in (
        UserauthRequest("ada", SERVICE, name, b""), UserauthRequest("ada", name, "none", b""),
    ):
        server = Connection(Role.SERVER)
        with pytest.raises(RemoteProtocolError, match="name"):
            server.receive_stream_data(0, frame(encode(request)), False)


def test_no_secret_is_shown_by_repr() -> None:
    server = Connection(Role.SERVER)
    client = Connection(Role.CLIENT)
    client.client_login.request("ada", PasswordRequest("hunter2"))
    [request] = client.data_to_send()
    server.receive_stream_data(0, request.data, False)
    assert "hunter2" not in repr(server.next_event())
    assert "hunter2" not in repr(PasswordRequest("hunter2", "hunter2"))


def test_a_client_says_a_word_about_itself_before_its_first_request(pair: Pair) -> None:
    pair.client.client_login.announce({ADDENDUM: b"a laptop"})
    pair.client.client_login.request("ada", NoneRequest())
    told, asked = pair.take(Role.SERVER)
    assert told == events.ExtensionsReceived({ADDENDUM: b"a laptop"})
    assert isinstance(asked, events.LoginRequested)


@pytest.mark.parametrize("is_told_before", [True, False])
def test_extensions_come_first_and_once(pair: Pair, is_told_before: bool) -> None:
    login = pair.client.client_login
    login.announce({}) if is_told_before else login.request("ada", NoneRequest())
    login.announce({})
    with pytest.raises(RemoteProtocolError):
        pair.run()
