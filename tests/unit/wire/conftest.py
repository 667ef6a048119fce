"""A client and a server joined without a network."""

import pytest

from qsh.wire import events
from qsh.wire.channel import StreamWrite
from qsh.wire.channel_messages import (
    SessionOpen,
)
from qsh.wire.connection import Connection, Role
from qsh.wire.userauth_messages import (
    NoneRequest,
)


class Pair:
    """A client and a server joined without a network."""

    def __init__(self) -> None:
        self.client = Connection(Role.CLIENT, grease=7)
        self.server = Connection(Role.SERVER)
        self.log: dict[Role, list[events.Event]] = {Role.CLIENT: [], Role.SERVER: []}

    def move(self, sender: Connection, receiver: Connection) -> bool:
        moved = False
        for output in sender.data_to_send():
            moved = True
            if isinstance(output, StreamWrite):
                receiver.receive_stream_data(output.stream_id, output.data, output.fin)
            else:
                receiver.receive_abort(output.stream_id, output.code)
        while (event := receiver.next_event()) is not None:
            self.log[receiver.role].append(event)
        while (event := sender.next_event()) is not None:
            self.log[sender.role].append(event)
        return moved

    def run(self) -> None:
        while self.move(self.client, self.server) or self.move(self.server, self.client):
            pass

    def take(self, role: Role) -> list[events.Event]:
        self.run()
        taken, self.log[role] = self.log[role], []
        return taken

    def login(self) -> None:
        self.client.trust()
        self.client.client_login.request("ada", NoneRequest())
        self.run()
        self.server.server_login.accept()
        self.take(Role.CLIENT)
        self.take(Role.SERVER)

    def session(self):
        """A confirmed session channel: (the client's end, the server's end)."""
        mine = self.client.open_channel(4, SessionOpen())
        [offered] = self.take(Role.SERVER)
        offered.channel.accept()
        self.take(Role.CLIENT)
        return mine, offered.channel


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.fixture
def ready(pair: Pair) -> Pair:
    pair.login()
    return pair
