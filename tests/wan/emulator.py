"""Two namespaces, the two links between them, and the state that `wan ctl` can change.

    client ns                     this process                      server ns
    10.77.0.2 [wan0] <-> (NAT) <-> up link / down link <-> [wan0] 10.77.1.1
    fd77:0::2        with --ipv6, and no NAT for it               fd77:1::1
"""

import heapq
import json
import os
import select
import socket
import threading
import time
from argparse import Namespace as Options
from collections.abc import Sequence
from time import monotonic
from typing import Any

from tests.wan.link import Link, parse_time
from tests.wan.namespace import DEVICE, Namespace, ip, remove_namespace
from tests.wan.nat import Nat

CLIENT_ADDRESS = "10.77.0.2"
SERVER_ADDRESS = "10.77.1.1"
CLIENT_IPV6, SERVER_IPV6 = "fd77::2", "fd77:1::1"
SERVER_NAME = "far.example"
"""With --ipv6: inside, it stands for both of the server's addresses."""
READ_BURST = 32  # packets read from one side before looking at the other
COALESCE = 0.0002  # packets due this soon after another share its wake-up

REQUESTS = """\
    set [up|down] key=value...  keys: delay jitter loss rate queue reorder
                                reorder-delay duplicate; takes effect at once
    blackout SECONDS [up|down]  the link is dead for that long; `blackout 0` ends it
    address NEW [GAP]           the client's address becomes NEW (Wi-Fi to LTE), after
                                GAP seconds with no address at all; NAT state is lost
                                and the public address changes too
    udp pass|drop [up|down]     whether UDP gets through, as a firewall has it
    families 4|6|46             the client has addresses of these only; needs --ipv6
    nat flush [address]         forget all mappings: flows get new public ports
                                (and with `address` a new public address); needs --nat
    show | stats | help"""


class Emulator:
    """The namespaces and links of one `wan run`; `options` are its command line's."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.names = [f"wanc-{os.getpid()}", f"wans-{os.getpid()}"]
        self.nat: Nat | None = None
        self.client_address = CLIENT_ADDRESS
        self._families = "46"
        self._tuns: list[int] = []
        self._schedule: list[Any] = []
        self.up = Link("up", options.up, options.seed, self._schedule)
        self.down = Link("down", options.down, options.seed, self._schedule)

    def start(self) -> None:
        """Create namespaces and devices."""
        self.client, self.server = (
            Namespace(name, self.options.tcp_cc, has_ipv6=self.options.ipv6) for name in self.names
        )
        if self.options.direct:
            ip("link", "add", DEVICE, "netns", self.client.name, "type", "veth",
               "peer", "name", DEVICE, "netns", self.server.name)  # fmt: skip
        else:
            self._tuns = [self.client.open_tun(), self.server.open_tun()]
            self.down.out_fd, self.up.out_fd = self._tuns
        self.client.bring_up(self.client_address, self.options.mtu)
        self.server.bring_up(SERVER_ADDRESS, self.options.mtu)
        if self.options.ipv6:
            self.client.set_ipv6_address(CLIENT_IPV6)
            self.server.set_ipv6_address(SERVER_IPV6)
            self.client.name_host(SERVER_NAME, SERVER_ADDRESS, SERVER_IPV6)
        if self.options.nat:
            self.nat = Nat()
            self.up.on_entry = self.nat.outbound
            self.down.on_delivery = self.nat.inbound

    def stop(self) -> None:
        """Remove everything `start` made; safe to call after a partial start."""
        for name in self.names:
            remove_namespace(name)
        for tun in self._tuns:
            os.close(tun)
        self._tuns = []

    def forward_until_exit(self, child_fd: int) -> None:
        """Forward packets until the process behind the pidfd `child_fd` ends."""
        if self.options.direct:
            select.select([child_fd], [], [])
            return
        schedule = self._schedule
        client_tun, server_tun = self._tuns
        sources = {client_tun: self.up, server_tun: self.down}
        watched = [client_tun, server_tun, child_fd]
        while True:
            if schedule and schedule[0][0] <= monotonic():
                self._deliver_due(monotonic() + COALESCE)
            wait = max(0.0, schedule[0][0] - monotonic()) if schedule else None
            for fd in select.select(watched, [], [], wait)[0]:
                if fd == child_fd:
                    return
                self._take_burst(fd, sources[fd])

    def _deliver_due(self, horizon: float) -> None:
        schedule = self._schedule
        while schedule and schedule[0][0] <= horizon:
            due, _, link, packet = heapq.heappop(schedule)
            link.deliver(packet, due, monotonic())

    def _take_burst(self, fd: int, link: Link) -> None:
        for _ in range(READ_BURST):
            try:
                packet = os.read(fd, 65536)
            except BlockingIOError:
                return
            if packet[0] >> 4 == 4 or (self.options.ipv6 and not _is_for_neighbours(packet)):
                link.accept(packet, monotonic())

    # -- requests from `wan ctl`; each returns the text of the reply

    def request(self, line: str) -> str:
        """Carry out one line of REQUESTS. Raises ValueError or OSError."""
        name, *arguments = line.split() or ["help"]
        handler = getattr(self, f"do_{name}", None)
        if not handler:
            raise ValueError(f"unknown request {name!r}; try help")
        return str(handler(*arguments))

    def do_help(self) -> str:
        return REQUESTS

    def do_show(self) -> str:
        if self.options.direct:
            return "direct veth link, no impairments"
        public = f" public {self.nat.public_address}" if self.nat else ""
        return (
            f"client {self.client_address}{public} server {SERVER_ADDRESS}\n"
            f"up    {self.up.impairments}\ndown  {self.down.impairments}"
        )

    def do_stats(self) -> str:
        report: dict[str, Any] = {"up": dict(self.up.count), "down": dict(self.down.count)}
        if not self.options.direct:
            report["up"]["overflow"] = self.client.overflow_drops()
            report["down"]["overflow"] = self.server.overflow_drops()
        used = os.times()
        report["forwarder_cpu_s"] = round(used.user + used.system, 2)
        return json.dumps(report)

    def do_set(self, *settings: str) -> str:
        links, rest = self._links(settings)
        changes = [(link, link.impairments.changed(rest)) for link in links]
        for link, impairments in changes:
            link.impairments = impairments
        return self.do_show()

    def do_blackout(self, seconds: str, *direction: str) -> str:
        end = monotonic() + parse_time(seconds)
        for link in self._links(direction)[0]:
            link.dead_until = end
        return f"link dead for {seconds}"

    def do_udp(self, verdict: str, *direction: str) -> str:
        if verdict not in ("pass", "drop"):
            raise ValueError("use `udp pass` or `udp drop`")
        for link in self._links(direction)[0]:
            link.drops_udp = verdict == "drop"
        return f"UDP: {verdict}"

    def do_address(self, address: str, gap: str = "0") -> str:
        socket.inet_aton(address)
        self.client.set_address(None)
        time.sleep(parse_time(gap))
        if self.nat:
            self.nat.flush(new_address=True)
        self.client.set_address(address)
        self.client_address = address
        return f"client address is now {address}"

    def do_families(self, families: str) -> str:
        if not self.options.ipv6 or families not in ("4", "6", "46"):
            raise ValueError("use `families 4|6|46`, with an instance started with --ipv6")
        before, self._families = self._families, families
        if ("6" in families) != ("6" in before):
            self.client.set_ipv6_address(CLIENT_IPV6 if "6" in families else None)
        if ("4" in families) != ("4" in before):
            self.client.set_address(self.client_address if "4" in families else None)
        return f"client has addresses of IPv{' and IPv'.join(families)}"

    def do_nat(self, action: str, what: str = "") -> str:
        if not self.nat or action != "flush" or what not in ("", "address"):
            raise ValueError("use `nat flush [address]`, with an instance started with --nat")
        self.nat.flush(new_address=bool(what))
        return f"flushed; public address {self.nat.public_address}"

    def _links(self, words: Sequence[str]) -> tuple[list[Link], Sequence[str]]:
        """Split an optional leading 'up' or 'down' off; both links without one."""
        if self.options.direct:
            raise ValueError("a --direct link has no impairments")
        if words and words[0] in ("up", "down"):
            return [getattr(self, words[0])], words[1:]
        return [self.up, self.down], words


def _is_for_neighbours(packet: bytes) -> bool:
    """Whether an IPv6 packet is to a multicast or link-local address."""
    return packet[24] == 0xFF or packet[24:26] == b"\xfe\x80"


class ControlServer(threading.Thread):
    """Answers `wan ctl` on a Unix socket: one request per connection."""

    def __init__(self, path: str, emulator: Emulator) -> None:
        super().__init__(daemon=True)
        self._emulator = emulator
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._listener.listen(8)

    def run(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                try:
                    connection.send(self._answer(connection.recv(4096).decode()).encode())
                except OSError:
                    continue  # the asker went away

    def _answer(self, line: str) -> str:
        try:
            return "ok " + self._emulator.request(line)
        except Exception as error:
            return f"error {error}"


def ask(path: str, request: str) -> tuple[bool, str]:
    """Send one request to the control socket; whether it was carried out, and the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(path)
        connection.send(request.encode())
        status, _, text = connection.recv(65536).decode().partition(" ")
    return status == "ok", text
