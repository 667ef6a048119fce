"""What a worker in a stranger's hands may try while a login is being judged."""

import time

import pytest

from qsh.server.monitor.messages import (
    REPLIES,
    REQUESTS,
    AnswerQuestions,
    CheckLogin,
    Ended,
    GiveIds,
    Ids,
    LoginVerdict,
    LogLine,
    NewPasswordWanted,
    Outcome,
    Questions,
    StartSession,
)
from qsh.wire.codec import encode, encode_body
from qsh.wire.userauth_messages import (
    InfoRequest,
    KeyboardInteractiveRequest,
    PasswordRequest,
    Prompt,
)
from tests.unit.server.monitor.test_monitor import EXEC, EXPORTER, USER, monitor  # noqa: F401

root = pytest.mark.root


@pytest.mark.parametrize(
    ("registry", "message"),
    [
        (REQUESTS, AnswerQuestions(("one", "two"))),
        (REPLIES, Questions("banner", InfoRequest("", "hello", (Prompt("One: ", False),)))),
        (REPLIES, NewPasswordWanted("choose", "banner")),
    ],
)
def test_there_and_back(registry, message):
    assert registry.decode(encode(message)) == message


def test_secrets_are_not_shown():
    password = CheckLogin(b"", "u", "s", "password", b"secret")
    assert "secret" not in repr(password) + repr(AnswerQuestions(("secret",)))


def login(body, user=USER):
    return CheckLogin(EXPORTER, user, "ssh-connection", body.method, encode_body(body))


ASK = login(KeyboardInteractiveRequest())


@pytest.fixture
def asking(monitor, service, module):  # noqa: F811
    """A monitor whose PAM waits for an answer."""
    stack = service(f"auth required {module} rounds", "account required pam_permit.so")
    one = monitor("UsePAM yes", f"PAMServiceName {stack.name}", "PermitRootLogin yes").attest()
    assert isinstance(one.ask(ASK), Questions)
    return one


@root
def test_the_course_of_a_conversation(asking):
    assert asking.ask(AnswerQuestions(("blue",))).request.prompts[1] == Prompt("Two: ", True)
    verdict = asking.ask(AnswerQuestions(("1", "2")))
    assert (type(verdict), verdict.outcome) == (LoginVerdict, Outcome.ACCEPTED)


@root
def test_small_requests_are_served_meanwhile(asking):
    asking.socket.send(encode(LogLine(3, "still here")))
    assert isinstance(asking.ask(GiveIds(1)), Ids)
    assert asking.logged("still here [worker]")
    assert isinstance(asking.ask(AnswerQuestions(("blue",))), Questions)


@root
@pytest.mark.parametrize("request_", [EXEC, AnswerQuestions(("x",) * 64)])
def test_what_is_not_permitted_meanwhile(asking, request_):
    """A session is not, and answers that do not fit fail the attempt."""
    if isinstance(request_, StartSession):
        asking.socket.send(encode(request_))
        assert asking.is_killed()
    else:
        assert asking.ask(request_).outcome == Outcome.REFUSED


@root
def test_another_attempt_takes_the_place_of_the_answers(asking):
    assert isinstance(asking.ask(ASK), Questions)
    assert asking.ask(login(PasswordRequest("x"))).outcome == Outcome.REFUSED
    asking.socket.send(encode(AnswerQuestions(("blue",))))
    assert asking.is_killed()


@root
def test_giving_up_counts_and_ends(asking):
    """MaxAuthTries holds for a worker that does not end by itself, too."""
    for _ in range(4):
        assert isinstance(asking.ask(ASK), Questions)
    assert isinstance(asking.ask(ASK), Questions | LoginVerdict)
    assert asking.ask(ASK).outcome == Outcome.TOO_MANY
    assert asking.ask(ASK).outcome == Outcome.TOO_MANY


@root
def test_the_end_of_the_worker_ends_the_conversation(asking):
    asking.socket.send(encode(Ended(True, "bye")))
    asking.socket.close()
    assert asking.logged("Connection closed by")


@root
def test_answers_without_questions(monitor):  # noqa: F811
    one = monitor("UsePAM yes").attest()
    one.socket.send(encode(AnswerQuestions(("x",))))
    assert one.is_killed()


@root
def test_delays_cannot_be_cut_short(monitor, service, module):  # noqa: F811
    """The verdict takes as long as PAM wants, and a second attempt meanwhile is a crime."""
    stack = service(f"auth required {module} slow")
    one = monitor("UsePAM yes", f"PAMServiceName {stack.name}").attest()
    began = time.monotonic()
    assert one.ask(login(PasswordRequest("x"))).outcome == Outcome.REFUSED
    assert time.monotonic() - began > 0.7
    one.socket.send(encode(login(PasswordRequest("x"))))
    time.sleep(0.1)
    one.socket.send(encode(login(PasswordRequest("x"))))
    assert one.is_killed()
    assert one.logged("while the login is checking")
