"""The domain reads no clock, and lock files carry hashes."""

import re
from pathlib import Path

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
