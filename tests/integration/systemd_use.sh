# Within a booted systemd: install, log in, restart everything under a live shell. Prints "ok NAME".
set -eu
ok() { echo "ok $1"; }
q() { qsh -i /root/key -o FallbackToSsh=no -o BatchMode=yes alice@127.0.0.1 "$@"; }
heard() {  # a line, told to the live shell and answered by it
  echo "$1" >&4
  for _ in $(seq 100); do grep -qx "got $1" /root/out && return; sleep 0.2; done
  echo "not heard: $1"; cat /root/err; journalctl -n 40 --no-pager -u qshd -u qshd-sessions; exit 1
}
active() {  # both of them
  for _ in $(seq 100); do
    systemctl -q is-active qshd && systemctl -q is-active qshd-sessions && return
    sleep 0.2
  done
  exit 1
}

ip link set lo up
ssh-keygen -A >/dev/null
useradd -m -s /bin/bash -p '*' alice
install -d -o alice -g alice -m 700 /home/alice/.ssh
ssh-keygen -q -t ed25519 -N "" -f /root/key
install -o alice -g alice -m 600 /root/key.pub /home/alice/.ssh/authorized_keys
mkdir -p /root/.ssh
echo "127.0.0.1 $(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)" >/root/.ssh/known_hosts
dpkg -i /root/qsh_*.deb /root/qsh-server_*.deb >/dev/null 2>&1
active; ok "the units"
[ "$(q 'id -un')" = alice ]; ok "a login"
q 'cat /proc/self/cgroup' | grep -q 'user.slice/.*session-.*\.scope'; ok "a session of logind's"
mkfifo /root/in
exec 4<>/root/in
q 'while read line; do echo "got $line"; done' </root/in >/root/out 2>/root/err &
heard one
loginctl list-sessions --no-legend | grep -q alice; ok "known to loginctl"
systemctl restart qshd; heard two; ok "restart of the network part"
systemctl restart qshd-sessions; active; heard three; ok "restart of the sessions' part"
systemctl reload qshd qshd-sessions; active; heard four; ok "reload"
systemctl kill -s KILL --kill-who=main qshd; sleep 1; active; heard five; ok "kill -9"
dpkg -i /root/qsh_*.deb /root/qsh-server_*.deb >/dev/null 2>&1
active; heard six; ok "an upgrade"
[ "$(q 'echo fresh')" = fresh ]; ok "a login after all that"
! journalctl --no-pager -u qshd -u qshd-sessions | grep -q Traceback; ok "nothing odd in the journal"
kill %1
