"""What a change of settings would do, as a page says it."""

from __future__ import annotations

from django.utils.translation import gettext as _

from monitoring.selectors.what_if import Preview


def preview_words(found: Preview) -> dict[str, object]:
    """How often each topic would change, and the first patients with each topic before and after."""
    words = _topic_words()
    return {
        "found": found,
        "counts": [(words[topic], number) for topic, number in found.counts.most_common()],
        "shown": [
            (one.patient, [(words[topic], old, new) for topic, (old, new) in one.changes.items()])
            for one in found.shown
        ],
    }


def _topic_words() -> dict[str, str]:
    return {
        "classes": _("classes of results"),
        "episodes": _("treatment-free episodes"),
        "alerts": _("alerts"),
        "plan": _("next sample"),
        "milestones": _("milestones"),
        "eligibility": _("criteria before a stop"),
        "event": _("event of the protocol"),
        "month_2": _("month 2"),
    }
