"""PAM's rules with real modules, without a connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.server.accounts import pam
from qsh.server.accounts.accounts import find_account
from qsh.server.accounts.pam import Message, Style
from qsh.server.accounts.pam_rules import JUNK, PamRules, _changing, fake, is_harmless
from qsh.server.accounts.rules import Dialogue, Proof, RulesError, Standing
from tests.pam_system import PASSWORD, STACK


@pytest.fixture
def rules(service):
    made = []

    def make(*lines, user="root", answers=(), **terms):
        left, asked = list(answers), []

        def ask(request):
            asked.append(request)
            return left.pop(0) if left else None

        defaults = {"is_real": True, "may_be_empty": False, "is_known": True}
        one = PamRules(service(*lines).name, user, "192.0.2.1",
                       dialogue=Dialogue(ask, lambda _: None), **(defaults | terms))  # fmt: skip
        made.append(one)
        one_asked[id(one)] = asked
        return one

    one_asked = {}
    make.asked = lambda one: one_asked[id(one)]
    yield make
    for one in made:
        one.close()


@given(st.text())
def test_fakes_are_as_long_and_never_right(answer):
    made = fake(answer)
    assert len(made) == min(len(answer.encode("utf-8", "surrogateescape")), pam.MAX_ANSWER - 1)
    assert pam.c_answer(made) is not None
    assert made == (JUNK * 1000)[: len(made)]


@pytest.mark.parametrize("name", ["alice", "a.b_c-d", "CORP\\alice", "host$", "x" * 64])
def test_names_that_modules_may_see(name):
    assert is_harmless(name)


@pytest.mark.parametrize(
    "name", ["", "-rf", "../x", "a b", "a;b", "$(id)", "x" * 65, "é", "a\n", "`id`", ".x", "a/b"]
)
def test_names_that_they_may_not(name):
    assert not is_harmless(name)


def test_which_password_is_asked_for():
    def texts(*prompts):
        conversation = _changing("old", "new", lambda _: None)
        return [conversation([Message(Style.PROMPT_ECHO_OFF, text)])[0] for text in prompts]

    assert texts("Current password: ", "New password: ", "Retype new password: ") == [
        "old", "new", "new",
    ]  # fmt: skip
    assert texts("New password: ", "Retype: ") == ["new", "new"]
    assert texts("(current) UNIX password: ", "Enter new (not the old) one: ") == ["old", "new"]
    assert texts("Password: ", "Again: ") == ["old", "new"]


@pytest.mark.root
def test_unknown_names_are_not_shown_to_modules(rules, module, tmp_path):
    line = f"auth required {module} record {tmp_path / 'seen'}"
    one = rules(line, user="$(reboot)", is_real=False, is_known=False)
    assert one.check_password("guess", None) is Proof.BAD
    assert (tmp_path / "seen").read_bytes().startswith(b"NOUSER\n")


@pytest.mark.root
@pytest.mark.parametrize("password", ["a\0b", "x" * 2000, ""])
def test_passwords_that_cannot_be(rules, password):
    assert rules("auth required pam_permit.so").check_password(password, None) is Proof.BAD


@pytest.mark.root
def test_giving_up(rules, module):
    one = rules(f"auth optional {module} rounds", "auth required pam_permit.so",
                answers=[("blue",)])  # fmt: skip
    assert one.converse() is Proof.BAD
    assert len(rules.asked(one)) == 2


@pytest.mark.root
def test_standing(rules, account):
    assert rules(*STACK, user=account.name).check_account() is Standing.GOOD
    account.change("-d", "0", program="chage")
    assert rules(*STACK, user=account.name).check_account() is Standing.CHANGE
    account.change("-e", "2000-01-01")
    assert rules(*STACK, user=account.name).check_account() is Standing.DENIED


@pytest.mark.root
def test_session(rules, module, account, tmp_path):
    notes = tmp_path / "notes"
    one = rules(f"auth required {module} group", f"session required {module} {notes}")
    surroundings = one.open_session(find_account(account.name))
    assert set(surroundings.groups) == {account.entry.pw_gid, 2}
    assert surroundings.environment == {"FROM_PAM": "a value"}
    assert one.take_notes() == "Mind the gap."
    assert not notes.read_text().endswith("close\n")
    one.close()
    one.close()
    assert notes.read_text() == "open ssh 192.0.2.1\nclose\n"


@pytest.mark.root
def test_refused_session(rules, module):
    one = rules(f"session required {module} deny")
    with pytest.raises(RulesError, match="pam_open_session"):
        one.open_session(find_account("root"))
    assert one.take_notes() == "No room for you."


@pytest.mark.root
def test_password_without_the_library(rules, monkeypatch):
    monkeypatch.setattr(pam, "LIBRARY", "libpam-that-is-not-there.so")
    one = rules(*STACK)
    assert one.check_password(PASSWORD, None) is Proof.BAD
    assert one.converse() is Proof.BAD
    assert one.check_account() is Standing.DENIED
    with pytest.raises(RulesError, match="not installed"):
        one.open_session(find_account("root"))
