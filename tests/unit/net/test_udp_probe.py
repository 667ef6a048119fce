"""The question whether UDP works is one that our own listener answers, and nothing else counts."""

from hypothesis import given
from hypothesis import strategies as st

from qsh.net.udp_probe import SIZE, is_answer, question
from qsh.server.listener.cid_router import parse_header, version_negotiation

IDS = st.binary(min_size=8, max_size=8)


@given(IDS, IDS, st.integers(0, 255))
def test_a_server_answers_it_by_version_negotiation(destination, source, entropy):
    packet = question(destination, source)
    assert len(packet) == SIZE
    header = parse_header(packet)
    assert header.is_long
    assert header.version not in (0, 1)
    assert is_answer(version_negotiation(header, entropy), destination, source)


@given(st.binary(max_size=60), IDS, IDS)
def test_nothing_else_is_an_answer(packet, destination, source):
    assert not is_answer(packet, destination, source)
    assert not is_answer(question(destination, source), destination, source)


def test_an_answer_to_another_question_is_none():
    asked = parse_header(question(bytes(8), b"1" * 8))
    assert not is_answer(version_negotiation(asked, 0), bytes(8), b"2" * 8)
