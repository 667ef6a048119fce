"""-A with the real ssh-agent: it lists and signs for the far side, and only if it may."""

import os
import subprocess

import pytest

from tests.integration.harness import make_key, public

pytestmark = pytest.mark.one_pair


@pytest.fixture
def agent(ssh_agent, tmp_path):
    """The agent's socket; it holds one key."""
    key = make_key(tmp_path / "agent_key")
    environment = os.environ | {"SSH_AUTH_SOCK": str(ssh_agent)}
    subprocess.run(["ssh-add", "-q", key], check=True, env=environment)
    return ssh_agent, public(key)


def test_the_far_side_lists_and_signs(qsh, agent, tmp_path):
    path, line = agent
    (tmp_path / "key.pub").write_text(line + "\n")
    sign = f"printf text | ssh-keygen -Y sign -n test -f {tmp_path}/key.pub"
    done = qsh("-A", "host", f"ssh-add -L; {sign}", env={"SSH_AUTH_SOCK": str(path)})
    assert done.stdout.decode().startswith(line + "\n"), done.stderr
    assert b"BEGIN SSH SIGNATURE" in done.stdout


def test_nothing_is_forwarded_unless_asked_for(qsh, agent):
    done = qsh("host", 'echo "[$SSH_AUTH_SOCK]"', env={"SSH_AUTH_SOCK": str(agent[0])})
    assert done.stdout == b"[]\n"
    qsh.configure("ForwardAgent yes")
    done = qsh("-a", "host", 'echo "[$SSH_AUTH_SOCK]"', env={"SSH_AUTH_SOCK": str(agent[0])})
    assert done.stdout == b"[]\n"


def test_the_socket_is_in_a_folder_of_the_user_and_goes_with_the_connection(qsh, agent):
    command = 'd=${SSH_AUTH_SOCK%/*}; stat -c %a $d; stat -c %a $SSH_AUTH_SOCK; echo $d'
    done = qsh("-A", "host", command, env={"SSH_AUTH_SOCK": str(agent[0])})
    *modes, folder = done.stdout.decode().split()
    assert modes == ["700", "600"]
    for _ in range(100):
        if not os.path.exists(folder):
            break
        subprocess.run(["sleep", "0.05"])
    assert not os.path.exists(folder)


@pytest.mark.parametrize("value", ["{}", "$OTHER"])
def test_another_agent_by_path_or_variable(qsh, agent, value):
    qsh.configure(f"ForwardAgent {value.format(agent[0])}")
    done = qsh("host", "ssh-add -L", env={"OTHER": str(agent[0])})
    assert done.stdout.decode() == agent[1] + "\n"


@pytest.mark.parametrize("options", ["no-agent-forwarding", "restrict"])
def test_a_key_may_forbid_it(qsh, daemon, agent, options):
    daemon.authorize(f"{options} {public(qsh.key)}")
    done = qsh("-A", "host", 'echo "[$SSH_AUTH_SOCK]"', env={"SSH_AUTH_SOCK": str(agent[0])})
    assert done.stdout == b"[]\n"


@pytest.mark.parametrize("line", ["AllowAgentForwarding no", "DisableForwarding yes"])
def test_the_administrator_may_forbid_it(own_daemon, new_client, agent, line):
    qsh = new_client(own_daemon(line))
    done = qsh("-A", "host", 'echo "[$SSH_AUTH_SOCK]"', env={"SSH_AUTH_SOCK": str(agent[0])})
    assert done.stdout == b"[]\n"


def test_a_key_for_certain_destinations_does_not_go_to_others(qsh, ssh_agent, daemon, tmp_path):
    """`ssh-add -h`: the agent signs with it on connections only that are bound to the right host,
    and a forwarded one is not (qsh.forward.agent)."""
    key, known = make_key(tmp_path / "bound"), tmp_path / "known"
    known.write_text(f"elsewhere {public(daemon.host_key)}\n")
    environment = os.environ | {"SSH_AUTH_SOCK": str(ssh_agent)}
    added = subprocess.run(["ssh-add", "-q", "-h", "elsewhere", "-H", known, key], env=environment)
    if added.returncode:
        pytest.skip("this ssh-add has no destination constraints")
    local = subprocess.run(["ssh-add", "-L"], env=environment, capture_output=True)
    assert public(key).split()[1] in local.stdout.decode()
    sign = f"printf text | ssh-keygen -Y sign -n test -f {key}.pub"
    key.unlink()
    done = qsh("-A", "host", sign, env={"SSH_AUTH_SOCK": str(ssh_agent)})
    assert done.status != 0
    assert b"SIGNATURE" not in done.stdout
