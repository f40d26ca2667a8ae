"""Translations without gettext: `update` gathers texts and compiles, `check` fails on anything missing."""

from __future__ import annotations

import ast
import re
import sys
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from monitoring.domain.alerting.kinds import KINDS
from monitoring.wording.reason_texts import TEXTS

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("config", "monitoring", "cohorts", "tasks")
LANGUAGES = {"zh_Hans": "zh_Hans"}
CALLS = {"_": 1, "gettext": 1, "gettext_lazy": 1, "ngettext": 2, "ngettext_lazy": 2}
_TEMPLATE_CALL = re.compile(r"\b(n?gettext|_)\(((?:u?'(?:[^'\\]|\\.)*'|u?\"(?:[^\"\\]|\\.)*\"|[\s,]|count)+)\)")
_TEXT = re.compile(r"u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
Message = str | tuple[str, str]


def python_messages(path: Path) -> set[Message]:
    """Texts in calls of gettext functions."""
    found: set[Message] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in CALLS:
            continue
        texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if len(texts) >= CALLS[node.func.id]:
            found.add(texts[0] if CALLS[node.func.id] == 1 else (texts[0], texts[1]))
    return found


def template_messages(path: Path) -> set[Message]:
    """Texts in translate and blocktranslate tags."""
    from django.utils.translation.template import templatize

    found: set[Message] = set()
    for call, arguments in _TEMPLATE_CALL.findall(templatize(path.read_text(encoding="utf-8"))):
        texts = [ast.literal_eval(text) for text in _TEXT.findall(arguments)]
        if call == "ngettext" and len(texts) > 1:
            found.add((texts[0], texts[1]))
        elif texts:
            found.add(texts[0])
    return found


def all_messages() -> set[Message]:
    """Every text of the product that people read in their language."""
    found: set[Message] = set()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            found |= python_messages(path)
    for path in sorted((ROOT / "templates").rglob("*.html")):
        found |= template_messages(path)
    return (found | set(TEXTS.values()) | {row.words for row in KINDS.values()}) - {""}


def catalog_path(language: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def load(language: str) -> Catalog:
    path = catalog_path(language)
    if not path.exists():
        return Catalog(locale=language, charset="utf-8")
    with path.open("rb") as handle:
        return read_po(handle, locale=language)


def update() -> int:
    """Write catalogues that hold exactly the texts of the product, keeping translations, and compile them."""
    messages = sorted(all_messages(), key=str)
    for language in LANGUAGES:
        old = load(language)
        fresh = Catalog(locale=language, charset="utf-8", project="cml-response-monitoring", fuzzy=False)
        for message in messages:
            known = old.get(message if isinstance(message, str) else message[0])
            fresh.add(message, known.string if known else None)
        path = catalog_path(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as handle:
            write_po(handle, fresh, width=120, omit_header=False, sort_output=True)
        with path.with_suffix(".mo").open("wb") as handle:
            write_mo(handle, fresh)
    return 0


def check() -> int:
    """Exit 1 where a text is missing, untranslated, unused, has other placeholders, or is not compiled."""
    problems = []
    wanted = all_messages()
    for language in LANGUAGES:
        catalog = load(language)
        known = {m.id if isinstance(m.id, str) else tuple(m.id): m for m in catalog if m.id}
        problems += [f"{language}: not in the catalogue: {m}" for m in wanted - known.keys()]
        problems += [f"{language}: no longer used: {m}" for m in known.keys() - wanted]
        for message_id, message in known.items():
            texts = message.string if isinstance(message.string, tuple) else (message.string,)
            if not all(texts):
                problems.append(f"{language}: not translated: {message_id}")
                continue
            last = message_id if isinstance(message_id, str) else message_id[-1]
            holders = set(re.findall(r"%\((\w+)\)s", str(last)))
            if any(set(re.findall(r"%\((\w+)\)s", str(text))) != holders for text in texts):
                problems.append(f"{language}: other placeholders: {message_id}")
        compiled = catalog_path(language).with_suffix(".mo")
        buffer = BytesIO()
        write_mo(buffer, catalog)
        if not compiled.exists() or compiled.read_bytes() != buffer.getvalue():
            problems.append(f"{language}: {compiled.name} is not the compiled catalogue; run make messages")
    sys.stderr.write("".join(f"{p}\n" for p in sorted(problems)))
    sys.stderr.write(f"{len(wanted)} texts, {len(problems)} problems\n")
    return 1 if problems else 0


if __name__ == "__main__":
    verbs = {"update": update, "check": check}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        sys.exit("usage: translations.py update|check")
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    for name in ("SECRET_KEY", "IDENTITY_KEY"):
        os.environ.setdefault(name, "only-for-reading-the-settings-here")
    os.environ.setdefault("DATABASE_URL", "postgresql://none")
    os.environ.setdefault("REDIS_URL", "redis://none")
    django.setup()
    sys.exit(verbs[sys.argv[1]]())
