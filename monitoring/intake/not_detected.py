"""The words for *not detected*: one list for every entry point.

Only words that can mean nothing else are accepted. One that could also mean *not measured*, *not entered* or *failed*
is refused.
"""

from __future__ import annotations

from monitoring.intake.numbers import in_one_width

ND = "nd"
_WORDS = frozenset(
    (
        ND, "n.d.", "n. d.", "not detected", "not detectable", "none detected", "undetected", "undetectable", "tnd",
        "target not detected", "bcr-abl1 not detected", "bcr::abl1 not detected", "neg", "neg.", "negative",
        "未检出", "未检测到", "检测不到", "不可检出", "阴性", "未檢出", "陰性", "検出せず", "未検出", "陰性(-)",
        "nicht nachweisbar", "nicht nachgewiesen", "negativ", "non détecté", "non détectable", "indétectable",
        "négatif", "no detectado", "no detectable", "indetectable", "negativo", "non rilevato", "non rilevabile",
        "não detectado", "niet aantoonbaar", "не обнаружено", "отрицательно",
    )
)  # fmt: skip
_DETECTED = frozenset(("detected", "positive", "pos", "pos.", "阳性", "检出", "陽性"))
# Some laboratories write these for *not detected*, others for *no value*.
_DOUBTFUL = frozenset(
    ("-", "–", "—", "/", "na", "n/a", "n.a.", "nan", "null", "none", "nil", "no ct", "undetermined", "invalid")
)


def _word(text: str) -> str:
    return " ".join(in_one_width(text).casefold().split())


def means_not_detected(text: str) -> bool:
    """Whether a text can only mean that the transcript was looked for and not detected."""
    return _word(text) in _WORDS


def means_detected(text: str) -> bool:
    """Whether a text can only mean that the transcript was detected."""
    return _word(text) in _DETECTED


def is_doubtful(text: str) -> bool:
    """Whether a text could mean not detected and could as well mean that there is no value."""
    return _word(text) in _DOUBTFUL
