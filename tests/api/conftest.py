"""Schemathesis gives the tests of all operations one id; a runner that sorts tests by id would run one of them."""

import dataclasses
from collections import Counter

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the id of such a test end with its operation, as its name does."""
    doubled = {name for name, count in Counter(item.nodeid for item in items).items() if count > 1}
    for item in items:
        if item.nodeid in doubled:
            operation = item.name.partition("[")[2].removesuffix("]")
            item._id = dataclasses.replace(item._id, params=operation)  # type: ignore[attr-defined]  # where pytest keeps it
    ids = [item.nodeid for item in items]
    assert len(set(ids)) == len(ids), "two tests of one id: one of them would not run"
