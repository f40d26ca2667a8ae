"""The domain reads no clock, lock files carry hashes, and what serves starts without the statistics."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_domain_reads_no_clock() -> None:
    paths = [path for folder in ("monitoring/domain", "cohorts/domain") for path in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 30
    for path in paths:
        assert not re.search(r"\.(now|today|utcnow)\(\)", path.read_text(encoding="utf-8")), path


def test_lock_files_name_no_index_and_carry_hashes() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert text.count("--hash=") > text.count("==")


@pytest.mark.parametrize("module", ["config.urls", "config.management.commands.alertd", "tasks.celery"])
def test_what_serves_and_watches_loads_no_statistics(module: str) -> None:
    """Pages, the API, alertd and a worker that classifies start without pandas, scipy, Arrow or lifelines."""
    script = (
        "import sys, django; django.setup(); import importlib; importlib.import_module(sys.argv[1]);"
        "print([m for m in ('pandas', 'scipy', 'pyarrow', 'lifelines') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, module], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
