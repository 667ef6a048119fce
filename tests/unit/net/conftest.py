"""What the tests of this package share."""

import pytest

from qsh.quic import engine as engines
from tests.pair import Conditions, Pair

USUAL = Conditions(latency=0.05)


@pytest.fixture(params=engines.available())
def pair(request):
    """Makes a Pair of one engine."""

    def make(conditions=USUAL, **values):
        return Pair(conditions, client_engine=request.param, server_engine=request.param, **values)

    return make
