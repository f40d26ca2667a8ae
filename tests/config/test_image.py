"""The image takes in what its recipe asks for."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_what_the_image_copies_is_let_in_and_is_there() -> None:
    """``.dockerignore`` shuts everything out that it does not name, so that a forgotten file stops the build."""
    let_in = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE))
    lines = re.findall(r"^COPY (?!--from)(.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    copied = {name for line in lines for name in line.split()[:-1]}
    assert {"manage.py", "gunicorn.conf.py", "monitoring"} <= copied
    assert copied <= let_in
    assert all((ROOT / name).exists() for name in copied)
