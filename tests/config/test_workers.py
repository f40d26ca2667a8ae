"""What the suite takes for granted of its runner."""

import os

import pytest


@pytest.mark.xdist_group("kept together")
def test_a_group_stays_on_one_worker(request: pytest.FixtureRequest) -> None:
    """The group stands in the id by which work is dealt out: without it, tests that share a server would meet in it."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return  # one process keeps everything together
    assert request.node.nodeid.endswith("@kept together")
