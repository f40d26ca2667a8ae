"""Starts the embedded servers before Django reads its settings; the workers of pytest-xdist inherit their addresses."""

import os

os.environ.setdefault("EMBEDDED_PURPOSE", "test")
os.environ.setdefault("EMBEDDED_DURABILITY", "off")

from config import embedded

embedded.provide(announce=True)
