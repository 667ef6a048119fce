"""10^5 hostile packets for every change, half for each engine;
`python -m tests.fuzz --runs 1000000 --coverage` is the long one."""

import os

import pytest

from qsh.quic.engine import available
from tests.fuzz.engines import fuzz
from tests.fuzz.hostile import Hostile

pytestmark = pytest.mark.no_cover  # it would take seven times as long

RUNS = int(os.environ.get("QSH_FUZZ_RUNS", "50000"))
SEED = int(os.environ.get("QSH_FUZZ_SEED", "1"))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", available())
def test_nothing_escapes_from_an_engine(name, monkeypatch, capsys):
    for engine, report in fuzz(RUNS, SEED, monkeypatch, [name]):
        with capsys.disabled():
            print(f"\nfuzz {engine}, seed {SEED}: {report.line()}")
        assert min(report.runs.values()) > 0
        assert report.ended["stranger"] == 0
        assert report.ended["traitor client"] > 0, "the attack reached the engine"


def test_equal_seeds_give_equal_bytes():
    first, second = Hostile(7), Hostile(7)
    for _ in range(50):
        assert first.garbage() == second.garbage()
        assert first.mutated(b"packet" * 20) == second.mutated(b"packet" * 20)
        assert first.frames() == second.frames()
