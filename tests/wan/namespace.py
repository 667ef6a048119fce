"""A network namespace with one device and one address, and what `ip` needs to be told for it."""

import ctypes
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path

DEVICE = "wan0"
TUN_QUEUE_PACKETS = 10000  # kernel-side buffer towards the forwarder
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def ip(*arguments: str, namespace: str | None = None, check: bool = True) -> str:
    """Run iproute2's ip, in a namespace if one is given; its output."""
    command = ["ip", *(["-n", namespace] if namespace else []), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def set_namespace(fd: int) -> None:
    """Move the calling thread."""
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """A network namespace with one point-to-point device."""

    def __init__(self, name: str, tcp_cc: str | None = None, *, has_ipv6: bool = False) -> None:
        self.name = name
        self.prefix = f"ip netns exec {name}"
        # Per route, since the kernel lets a namespace choose only among "allowed" algorithms.
        self._route_options = ["congctl", tcp_cc] if tcp_cc else []
        ip("netns", "add", name)
        ip("link", "set", "lo", "up", namespace=name)
        self.sysctl("net.ipv6.conf.all.disable_ipv6", int(not has_ipv6))
        self.sysctl("net.ipv4.tcp_no_metrics_save", 1)  # repetitions do not influence each other

    def sysctl(self, key: str, value: int) -> None:
        command = [*self.prefix.split(), "sysctl", "-qw", f"{key}={value}"]
        subprocess.run(command, check=True)

    def open_tun(self) -> int:
        """Create the TUN device in this namespace; its file descriptor."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        inside = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            set_namespace(inside)
            tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            request = struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI)
            fcntl.ioctl(tun, TUNSETIFF, request)
        finally:
            set_namespace(home)
            os.close(home)
            os.close(inside)
        return tun

    def bring_up(self, address: str, mtu: int) -> None:
        ip("link", "set", DEVICE, "mtu", str(mtu), "txqueuelen", str(TUN_QUEUE_PACKETS), "up",
           namespace=self.name)  # fmt: skip
        self.set_address(address)

    def set_address(self, address: str | None) -> None:
        """Make `address` the device's only IPv4 address; None leaves it without one."""
        ip("-4", "address", "flush", "dev", DEVICE, namespace=self.name)
        if address:
            ip("address", "add", f"{address}/32", "dev", DEVICE, namespace=self.name)
            ip("route", "replace", "default", "dev", DEVICE, *self._route_options,
               namespace=self.name)  # fmt: skip

    def set_ipv6_address(self, address: str | None) -> None:
        """The same for IPv6, which must be on."""
        ip("-6", "address", "flush", "dev", DEVICE, "scope", "global", namespace=self.name)
        ip("-6", "route", "flush", "default", namespace=self.name, check=False)
        if address:
            ip("address", "add", f"{address}/128", "dev", DEVICE, "nodad", namespace=self.name)
            ip("-6", "route", "replace", "default", "dev", DEVICE, *self._route_options,
               namespace=self.name)  # fmt: skip

    def name_host(self, name: str, *addresses: str) -> None:
        """Have the name stand for these addresses inside (ip-netns(8) mounts the file)."""
        folder = Path(f"/etc/netns/{self.name}")
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for address in addresses)]
        (folder / "hosts").write_text("".join(f"{line}\n" for line in lines))

    def overflow_drops(self) -> int:
        """Packets the kernel dropped because the forwarder did not read fast enough."""
        links = json.loads(ip("-s", "-j", "link", "show", "dev", DEVICE, namespace=self.name))
        return int(links[0]["stats64"]["tx"]["dropped"])


def remove_namespace(name: str) -> None:
    """End what still runs inside, then delete the namespace."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        pids = [int(pid) for pid in ip("netns", "pids", name, check=False).split()]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
        if pids:
            time.sleep(0.2)
    ip("netns", "delete", name, check=False)
    shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)
