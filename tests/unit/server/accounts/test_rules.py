import dataclasses

import pytest

from qsh.server.accounts.accounts import own_account
from qsh.server.accounts.rules import NOBODY, Proof, ShadowRules, Standing, may_use_password
from qsh.server.accounts.shadow import DAY, crypt

HASH = crypt("secret", "$6$qshqshqsh$")
OWN = own_account()


def rules(tmp_path, fields="1::::::", day=100, **terms):
    path = tmp_path / "shadow"
    path.write_text(f"u:{HASH}:{fields}\n")
    defaults = {"is_real": True, "may_be_empty": False, "clock": lambda: day * DAY}
    return ShadowRules("u", path=str(path), **(defaults | terms))


def test_password(tmp_path):
    one = rules(tmp_path)
    assert one.check_password("secret", None) is Proof.GOOD
    assert one.check_password("secret", "new") is Proof.GOOD
    assert one.check_password("wrong", None) is Proof.BAD
    assert rules(tmp_path, is_real=False).check_password("secret", None) is Proof.BAD
    assert one.converse() is Proof.BAD


@pytest.mark.parametrize(
    ("fields", "standing"),
    [("99::::::", Standing.GOOD), ("0::::::", Standing.CHANGE), ("80::10:7:::", Standing.CHANGE),
     ("80::10:7:5::", Standing.DENIED), ("99:::::50:", Standing.DENIED)],
)  # fmt: skip
def test_standing(tmp_path, fields, standing):
    assert rules(tmp_path, fields).check_account() is standing


def test_warning(tmp_path):
    one = rules(tmp_path, "91::10:7:::")
    assert one.check_account() is Standing.GOOD
    assert one.take_notes() == "Your password will expire in 1 day.\n"
    assert one.take_notes() == ""


def test_without_an_entry_there_are_no_rules(tmp_path):
    one = rules(tmp_path)
    one.path = str(tmp_path / "none")
    assert one.check_account() is Standing.GOOD
    assert one.open_session(OWN).groups is None
    one.close()


def test_who_may_use_a_password():
    user = dataclasses.replace(OWN, uid=1000)
    root = dataclasses.replace(OWN, uid=0)
    assert may_use_password(user, "no")
    assert not may_use_password(None, "yes")
    assert not may_use_password(root, "prohibit-password")
    assert may_use_password(root, "yes")


def test_nobody_answers():
    assert NOBODY.ask(None) is None
    assert NOBODY.pause(1000.0) is None
