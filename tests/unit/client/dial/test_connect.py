"""Limits of the connection by the settings, and tries to connect."""

import asyncio
import socket

import pytest

from qsh.client.dial import connect as module
from qsh.client.dial.connect import IDLE_TIMEOUT, connect, engine_config
from qsh.config.client_settings import ClientSettings
from qsh.errors import ConfigError, NetworkError


def settings(**values):
    return ClientSettings("h", "127.0.0.1", "u", **values)


def test_keep_alive_and_idle_time():
    config = engine_config(settings())
    assert (config.keep_alive, config.idle_timeout) == (None, IDLE_TIMEOUT)
    config = engine_config(settings(server_alive_interval=5.0, server_alive_count_max=4))
    assert (config.keep_alive, config.idle_timeout) == (5.0, 20.0)
    config = engine_config(settings(server_alive_interval=60.0, server_alive_count_max=0))
    assert (config.keep_alive, config.idle_timeout) == (60.0, 60.0)


@pytest.fixture
def closed_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_every_attempt_is_made_and_the_preparation_once(closed_port, monkeypatch, capfd):
    monkeypatch.setattr(module, "RETRY_DELAY", 0.01)
    calls = []
    with pytest.raises(NetworkError, match="refused"):
        asyncio.run(connect(settings(port=closed_port, connection_attempts=3),
                            lambda: calls.append(1)))
    assert calls == [1]
    assert capfd.readouterr().err.count("trying again") == 2


def test_an_engine_that_is_not_there():
    with pytest.raises(ConfigError, match="nosuch"):
        asyncio.run(connect(settings(engine="nosuch"), lambda: None))


def test_the_wrong_family(closed_port):
    with pytest.raises(NetworkError):
        asyncio.run(connect(settings(port=closed_port, address_family="inet6"), lambda: None))
