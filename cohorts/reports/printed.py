"""The printed report of a snapshot: set by Typst from words, tables and pictures. Commands and tasks only."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typst
from django.utils import translation

from cohorts.reports.document import as_data, document_of
from cohorts.reports.pictures import FONT, pictures_of

TEMPLATE = Path(__file__).parent / "files" / "report.typ"


def printed_report(shown: Mapping[str, Any], language: str) -> bytes:
    """The report as PDF in a language. The same figures give the same bytes with the same version of Typst."""
    with translation.override(language), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = pictures_of(shown)
        for picture in pictures:
            (folder / f"{picture.name}.svg").write_bytes(picture.svg())
        document = document_of(shown, language)
        data = as_data(document, [picture.name for picture in pictures])
        (folder / "data.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        source = folder / "report.typ"
        source.write_bytes(TEMPLATE.read_bytes())
        written_on = dt.datetime.fromisoformat(shown["computed_at"])
        return bytes(
            typst.compile(
                str(source),
                root=str(folder),
                font_paths=[str(FONT.parent)],
                ignore_system_fonts=True,
                format="pdf",
                timestamp=int(written_on.timestamp()),
            )
        )
