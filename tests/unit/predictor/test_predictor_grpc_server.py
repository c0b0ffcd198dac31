"""How long a client may keep a gRPC connection."""

import pytest
from squeeze_predictor.grpc_server import connection_age


@pytest.mark.parametrize(
    ("drain", "age"),
    [(0, 2**31 - 1), (0.001, 1000), (2, 1000), (2.1, 1050), (5, 2500), (1e12, 2**31 - 1)],
)
def test_a_connection_lasts_for_half_of_the_drain_but_long_enough_for_a_call(drain: float, age: int) -> None:
    assert connection_age(drain) == age
