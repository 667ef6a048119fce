"""The emulator does what it is asked: without that no figure measured over it means anything."""

import itertools
import json
import statistics
import subprocess
import sys

import pytest

from tests.wan.lab import Wan
from tests.wan.link import Impairments, Link

PROBE = """
import json, socket, sys, time
address, count = sys.argv[1], int(sys.argv[2])
sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(0.5)
times = []
for number in range(count):
    begin = time.monotonic()
    try:
        sock.sendto(b"%d" % number, (address, 7000))
        while sock.recv(100) != b"%d" % number:
            pass
    except OSError:
        continue
    times.append(time.monotonic() - begin)
print(json.dumps(times))
"""
ECHO = """
import socket, sys
sock = socket.socket(socket.AF_INET6 if sys.argv[1:] else socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 7000))
print("ready", flush=True)
while True:
    sock.sendto(*sock.recvfrom(100))
"""


def round_trips(wan, count, *, by_ipv6=False):
    """Times of `count` UDP packets there and back; what was lost is missing."""
    address = wan.server_ipv6 if by_ipv6 else wan.server_address
    server = [*wan.server, sys.executable, "-c", ECHO, *(["6"] if by_ipv6 else [])]
    with subprocess.Popen(server, stdout=-1) as echo:
        echo.stdout.readline()
        probe = [*wan.client, sys.executable, "-c", PROBE, address, str(count)]
        output = subprocess.run(probe, stdout=-1, check=True, timeout=60).stdout
        echo.terminate()
    return json.loads(output)


@pytest.mark.netns
@pytest.mark.parametrize("rtt_ms", [0, 100])
def test_packets_take_the_time_they_are_asked_to(rtt_ms):
    with Wan(rtt=f"{rtt_ms}ms") as wan:
        median = statistics.median(round_trips(wan, 20)) * 1e3
    assert rtt_ms <= median < rtt_ms + 15  # on a busy machine


@pytest.mark.netns
def test_a_dead_link_delivers_nothing_and_comes_back():
    with Wan() as wan:
        wan.ctl("blackout 1000s")
        assert round_trips(wan, 2) == []
        wan.ctl("blackout 0")
        assert len(round_trips(wan, 2)) == 2


@pytest.mark.netns
def test_a_new_address_still_reaches_the_server():
    with Wan("--nat") as wan:
        wan.ctl("address 10.77.0.9")
        assert len(round_trips(wan, 2)) == 2
        assert "10.77.0.9 public 10.77.9.2" in wan.ctl("show")


@pytest.mark.netns
def test_a_client_has_the_families_that_it_is_given():
    with Wan("--ipv6", "--nat") as wan:
        for families, reached in (("46", (2, 2)), ("6", (0, 2)), ("4", (2, 0)), ("46", (2, 2))):
            wan.ctl(f"families {families}")
            assert (len(round_trips(wan, 2)), len(round_trips(wan, 2, by_ipv6=True))) == reached


def fates(count, **impairments):
    """Schedule of `count` packets entering 1 ms apart: (due, number)."""
    schedule = []
    link = Link("up", Impairments(**impairments), seed=1, schedule=schedule)
    for number in range(count):
        link.accept(number.to_bytes(100), number / 1000)
    return [(due, int.from_bytes(packet)) for due, _, _, packet in sorted(schedule)]


def test_loss_is_the_share_asked_for_and_the_same_in_every_run():
    kept = fates(20_000, loss=0.157)
    assert 1 - len(kept) / 20_000 == pytest.approx(0.157, abs=0.01)
    assert kept == fates(20_000, loss=0.157)


def test_rate_spaces_packets_and_a_full_queue_drops():
    kept = fates(1000, rate=400_000, queue=(0.1, None))  # half of what is offered
    gaps = [b - a for (a, _), (b, _) in itertools.pairwise(kept[50:])]
    assert statistics.median(gaps) == pytest.approx(0.002)
    assert len(kept) == pytest.approx(550, abs=5)  # what drained in 1 s, and the queue's 0.1 s


def test_reordered_packets_are_overtaken_and_duplicates_come_twice():
    numbers = [number for _, number in fates(1000, delay=0.05, reorder=0.05, duplicate=0.02)]
    assert numbers != sorted(numbers)
    assert len(numbers) - len(set(numbers)) == pytest.approx(20, abs=10)
