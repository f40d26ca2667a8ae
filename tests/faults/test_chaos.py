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


@pytest.mark.skipif(not LONG, reason="controls of the harness: LONG_FORMS=1")
@pytest.mark.parametrize(
    ("without", "words", "more"),
    [
        ("alertd", "nobody was told", {"CHAOS_PATIENTS": "20"}),
        ("index", " alerts", {}),
        ("lease", "messages were repeated", {}),
        ("urgency", "nobody was told", {"CHAOS_CROWD": "150"}),
        ("containment", "has the class None", {}),
    ],
)
def test_without_a_guarantee_the_harness_says_what_is_missing(without: str, words: str, more: dict[str, str]) -> None:
    code, said = verdict(CHAOS_KILLS="4", CHAOS_WITHOUT=without, **more)
    assert code == 1
    assert words in said


@pytest.mark.skipif(not LONG, reason="a run of its own: LONG_FORMS=1")
@pytest.mark.parametrize(
    "more",
    [
        {"CHAOS_WITHOUT": "broker", "CHAOS_FAULTS": "web child,backend,alertd,importer"},
        {"CHAOS_FAULTS": "broker full,broker locked,broker frozen"},
        {"CHAOS_FAULTS": "postmaster,connections"},
        {"CHAOS_CROWD": "150"},
    ],
    ids=str,
)
def test_with_a_guarantee_the_same_run_passes(more: dict[str, str]) -> None:
    code, said = verdict(CHAOS_KILLS="10", **more)
    assert (code, said.rstrip().rpartition(": ")[2]) == (0, "PASSED"), said
