"""Steps are told at -vvv only."""

from qsh import log
from qsh.client.timeline import mark


def test_only_at_the_highest_level(capfd):
    mark("quiet")
    log.configure(level=log.Level.DEBUG3)
    try:
        mark("a step")
    finally:
        log.configure(level=log.Level.INFO)
    shown = capfd.readouterr().err
    assert "quiet" not in shown
    assert "ms CPU: a step" in shown
