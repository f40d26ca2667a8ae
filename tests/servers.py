"""Starts the embedded servers before Django reads its settings; the workers of pytest-xdist inherit their addresses."""

import os
from pathlib import Path

os.environ.setdefault("VAR_DIR", str(Path(__file__).resolve().parent.parent / "var-test"))
os.environ.setdefault("EMBEDDED_DURABILITY", "off")

from config import embedded

embedded.provide(announce=True)
