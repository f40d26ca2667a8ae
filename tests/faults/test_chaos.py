"""Twenty kills of everything while results arrive; the long form takes guarantees away and must see what is missing."""

import os
import subprocess
import sys

import pytest

from tests.processes import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chaos")]
LONG = os.environ.get("LONG_FORMS") == "1"


def verdict(**chosen: str) -> tuple[int, str]:
    kept = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "PYTHONDONTWRITEBYTECODE") if k in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.chaos"], cwd=ROOT, env={**kept, **chosen}, capture_output=True, text=True,
        check=False, timeout=900,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr[-2000:]


def test_killed_frozen_and_flushed_nothing_is_lost_and_everybody_is_told() -> None:
    code, said = verdict(CHAOS_KILLS="20", CHAOS_SEED="1")
    assert (code, said.rstrip().rpartition(": ")[2]) == (0, "PASSED"), said


@pytest.mark.skipif(not LONG, reason="a control of the harness: LONG_FORMS=1")
def test_without_alertd_nobody_is_told_and_the_harness_says_so() -> None:
    code, said = verdict(CHAOS_KILLS="4", CHAOS_PATIENTS="20", CHAOS_WITHOUT="alertd")
    assert code == 1
    assert "nobody was told" in said
