"""The tables say all: every pair of state and step either has a following state or an error."""

import pytest

from qsh.errors import LocalProtocolError, RemoteProtocolError
from qsh.wire.states import HALF, LOGIN, OPENING, Half, Login, Move, Say, step


@pytest.mark.parametrize("table", [OPENING, HALF, LOGIN])
def test_what_a_table_lacks_is_forbidden_to_both(table) -> None:
    steps = {event for row in table.values() for event in row}
    for state, row in table.items():
        for event in steps:
            if event in row:
                assert step(table, state, event, by_peer=True) is row[event]
            else:
                with pytest.raises(RemoteProtocolError):
                    step(table, state, event, by_peer=True)
                with pytest.raises(LocalProtocolError):
                    step(table, state, event, by_peer=False)


def test_nothing_leaves_an_end() -> None:
    assert HALF[Half.CLOSED] == {}
    assert LOGIN[Login.DONE] == {}
    assert Move.DATA not in HALF[Half.ENDED]
    assert Say.ACCEPT not in LOGIN[Login.IDLE]
