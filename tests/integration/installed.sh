# What an administrator does after `dpkg -i qsh*.deb`, in a clean root: run by test_server_package
# in namespaces of its own. Prints "ok NAME" for each thing that works,
# then the table of processes.
set -eu
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts 2>/dev/null || true
ip link set lo up 2>/dev/null || python3 -c '
import fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 0x41))'

ok() { echo "ok $1"; }
refused() {  # name, command…
  name=$1; shift
  if "$@" >/tmp/refused 2>&1; then cat /tmp/refused; echo "not refused: $name"; exit 1; fi
  ok "refused: $name"
}
qsh() { command qsh -o BatchMode=yes -o ConnectTimeout=20 -o FallbackToSsh=no "$@"; }
typing() {  # password, command…: qsh asks the program that askpass(1) describes
  printf '#!/bin/sh\necho %s\n' "$1" >/tmp/askpass; chmod 755 /tmp/askpass; shift
  SSH_ASKPASS=/tmp/askpass SSH_ASKPASS_REQUIRE=force DISPLAY=:0 command qsh \
    -o NumberOfPasswordPrompts=1 -o FallbackToSsh=no -o ConnectTimeout=20 "$@"
}

# ---- accounts, keys and the configuration; no file of the package is edited
mkdir -p /root/.ssh /etc/qsh /etc/ssh
rm -f /etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
for user in alice bob carol eve; do
  useradd -m -s /bin/bash $user
  echo "$user:right-$user" | chpasswd
done
usermod -L eve
rm -f /root/key /root/ca /root/certified
for name in key ca certified; do ssh-keygen -q -t ed25519 -N "" -f /root/$name; done
for user in alice carol eve; do
  home=$(getent passwd $user | cut -d: -f6)
  install -d -o $user -g $user -m 700 "$home/.ssh"
  install -o $user -g $user -m 600 /root/key.pub "$home/.ssh/authorized_keys"
done
ssh-keygen -q -s /root/ca -I a-certificate -n bob /root/certified.pub
echo "127.0.0.1 $(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)" >/root/.ssh/known_hosts
cp /root/ca.pub /etc/qsh/user_ca.pub
cat >/etc/qsh/qshd_config <<'CONFIG'
TrustedUserCAKeys /etc/qsh/user_ca.pub
PasswordAuthentication yes
PerSourcePenalties no
DenyUsers daemon
Match User carol
    AuthenticationMethods publickey,password
CONFIG
qshd -t
ok "the configuration"

# ---- a supervisor that starts it anew whenever it ends
(while [ ! -e /tmp/enough ]; do qshd -D -e 2>>/tmp/qshd.log || true; sleep 0.1; done) &
for _ in $(seq 200); do [ -s /run/qshd.pid ] && break; sleep 0.1; done

# ---- who comes in
[ "$(qsh -i /root/key alice@127.0.0.1 'id -un')" = alice ] && ok "a key"
[ "$(qsh -i /root/certified bob@127.0.0.1 'id -un')" = bob ] && ok "a certificate"
[ "$(typing right-bob -o PubkeyAuthentication=no bob@127.0.0.1 'id -un')" = bob ] &&
  ok "a password over PAM"
[ "$(typing right-carol -i /root/key carol@127.0.0.1 'id -un')" = carol ] &&
  ok "a key and a password"
qsh --doctor 127.0.0.1 >/dev/null && ok "the doctor"

# ---- who does not
refused "a wrong password" typing wrong -o PubkeyAuthentication=no bob@127.0.0.1 true
refused "a key alone where two factors are asked for" qsh -i /root/key carol@127.0.0.1 true
refused "a certificate for another" qsh -i /root/certified alice@127.0.0.1 true
refused "a locked account's password" typing right-eve -o PubkeyAuthentication=no eve@127.0.0.1 true
refused "an account that is denied" qsh -i /root/key daemon@127.0.0.1 true
refused "nobody's account" qsh -i /root/key nosuchuser@127.0.0.1 true

# ---- restarts under load: not a byte is lost
fine() {  # once qshd is back, which on a busy machine takes its time
  for _ in $(seq 60); do
    [ "$(qsh -i /root/key alice@127.0.0.1 'echo fine' 2>/dev/null)" = fine ] && return
    sleep 0.5
  done
  return 1
}
head -c 60000000 /dev/urandom >/tmp/data
(sleep 0.5; (cat /tmp/data; sleep 3) | qsh -i /root/key alice@127.0.0.1 cat >/tmp/back) &
load=$!
sleep 1.5
for signal in HUP KILL HUP; do
  kill -$signal "$(cat /run/qshd.pid)"
  sleep 1
  fine
done
wait $load
cmp /tmp/data /tmp/back && ok "three restarts under load"

# ---- what runs with which rights
echo "processes:"
qsh -i /root/key alice@127.0.0.1 'sleep 5' &
sleep 2
for folder in /proc/[0-9]*; do
  case $(cat "$folder/comm" 2>/dev/null) in qsh*) ;; *) continue ;; esac
  user=$(stat -c %U "$folder" 2>/dev/null) || continue
  sed -n "s/^Name:\t/$user /p; s/^\(Uid\|CapEff\|NoNewPrivs\|Seccomp\):\t/\1 /p" "$folder/status" |
    cut -f1 | tr '\n' ' '
  echo
done | grep -v '^root qsh Uid' | sort -u
touch /tmp/enough
kill "$(cat /run/qshd.pid)"
wait
