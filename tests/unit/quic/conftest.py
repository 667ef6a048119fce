import pytest

from tests.unit.quic.simulation import ENGINE_PAIRS, Pair


@pytest.fixture(params=ENGINE_PAIRS, ids=lambda pair: f"{pair[0]}-to-{pair[1]}")
def engines(request):
    """Names of the client's and the server's engine."""
    return request.param


@pytest.fixture
def pair(engines):
    """Two engines after their handshake, on a good link."""
    return Pair(engines).handshake()
