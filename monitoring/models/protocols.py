"""Which rule sets a centre or study follows; the rule sets themselves are shipped files and never edited in place."""

import pghistory
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from monitoring.domain.rules.rule_sets import load_rule_sets

# The field of a protocol, and the kind of rule set it names.
KIND_OF = {
    "schedule": "schedule",
    "milestones": "milestones",
    "eligibility_adult": "eligibility",
    "eligibility_paediatric": "eligibility",
    "loss": "loss",
    "kinetics": "kinetics",
}
DEFAULTS = {
    "schedule": "schedule-eln-2020.1",
    "milestones": "milestones-eln-2020.1",
    "eligibility_adult": "eligibility-eln-2020.1",
    "eligibility_paediatric": "eligibility-stki-14.1",
    "loss": "loss-mmr-single.1",
    "kinetics": "kinetics-ln-ratio.1",
}


@pghistory.track()
class Protocol(models.Model):
    """Named rule sets that centres follow. A centre without a protocol follows the defaults."""

    code = models.SlugField(_("code"), max_length=60, unique=True)
    title = models.CharField(_("title"), max_length=200)
    schedule = models.CharField(_("schedule"), max_length=60, default=DEFAULTS["schedule"])
    milestones = models.CharField(_("milestones"), max_length=60, default=DEFAULTS["milestones"])
    eligibility_adult = models.CharField(_("eligibility, adults"), max_length=60, default=DEFAULTS["eligibility_adult"])
    eligibility_paediatric = models.CharField(
        _("eligibility, children"), max_length=60, default=DEFAULTS["eligibility_paediatric"]
    )
    loss = models.CharField(_("event of the protocol"), max_length=60, default=DEFAULTS["loss"])
    kinetics = models.CharField(_("kinetics"), max_length=60, default=DEFAULTS["kinetics"])

    class Meta:
        verbose_name = _("protocol")
        verbose_name_plural = _("protocols")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        """Every named rule set is shipped and of the right kind."""
        wrong = {}
        for field, kind in KIND_OF.items():
            known = [rule_id for rule_id, rules in load_rule_sets().items() if rules.kind == kind]
            if getattr(self, field) not in known:
                wrong[field] = _("choose one of %(known)s") % {"known": ", ".join(known)}
        if wrong:
            raise ValidationError(wrong)
