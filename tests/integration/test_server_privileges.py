"""The table of privileges, checked row by row; `python -m tests.privileges` prints it."""

import pytest

from qsh.server import sandbox
from tests.privileges import look, table

pytestmark = [pytest.mark.one_pair, pytest.mark.root]


def test_each_process_has_the_rights_it_needs_and_no_more(daemon, new_client):
    rows = look(daemon, new_client(daemon).key)
    print(table(rows))
    found = {one.name: one for one in rows}
    assert set(found) == {"qshd", "qshd-keys", "qshd-launcher", "qshd-monitor", "qshd-worker",
                          "qshd-zygote", "qsh-holder"}  # fmt: skip
    worker, zygote = found["qshd-worker"], found["qshd-zygote"]
    assert worker.user in sandbox.WORKER_USERS
    assert (worker.capabilities, worker.seccomp, worker.no_new_privileges) == (0, 2, True)
    assert (worker.root, worker.files, worker.host_keys) == ("/run/qsh/empty", (), ())
    assert zygote.user in sandbox.WORKER_USERS
    assert (zygote.capabilities, zygote.host_keys) == (1 << sandbox.CAP_SYS_CHROOT, ())
    for name in ("qshd-zygote", "qshd-launcher", "qshd-monitor", "qshd-keys", "qsh-holder"):
        # Nothing is open but sockets, the log (standard error here), and terminals' devices.
        files = [p for p in found[name].files if not p.endswith("qshd.log")]
        assert files == [], name
