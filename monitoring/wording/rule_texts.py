"""What the rules say of a patient: questions at entry, next sample, kinetics, milestones, criteria before a stop."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RULE_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        # --- questions at entry
        "entry.fraction_for_percent": (
            "%(reported)s %% is a hundredth of what the copies make (%(computed)s %%): a fraction in the percent field?"
        ),
        "entry.percent_twice": (
            "%(reported)s %% is a hundred times what the copies make (%(computed)s %%): multiplied by 100 twice?"
        ),
        "entry.decimal_point": (
            "%(reported)s %% is ten-fold away from what the copies make (%(computed)s %%): the decimal point?"
        ),
        "entry.factor_twice": (
            "%(reported)s %% fits the copies (%(computed)s %%) with the conversion factor applied twice."
        ),
        "entry.factor_missing": "%(reported)s %% fits the copies (%(computed)s %%) without the conversion factor.",
        "entry.copies_disagree": (
            "%(reported)s %% is reported, the copies make %(computed)s %%: more than five-fold apart."
        ),
        "entry.mr_for_percent": "%(reported)s fits the last value (%(last)s %%) as an MR value: the wrong field?",
        "entry.fraction_like_last": (
            "%(reported)s %% is a hundredth of the last value (%(last)s %%): a fraction in the percent field?"
        ),
        "entry.double": "The same numbers of the same day are stored as %(other)s: one sample twice?",
        "entry.control_implausible": "%(control)s copies of the control gene are more than any sample holds.",
        "entry.copies_exchanged": "%(copies)s BCR::ABL1 copies over %(control)s of the control gene: exchanged?",
        "entry.replicates_apart": "The replicates are %(apart)s log apart (more than %(limit)s): repeat, or say why.",
        "entry.delta": "A change of %(change)s log is real: beyond %(limit)s log of the assay.",
        "entry.too_old": (
            "The sample took %(hours)s hours to the laboratory (more than %(limit)s): its depth may be lost."
        ),
        "entry.after_death": "Collected after the death recorded on %(on)s.",
        # --- event of a protocol
        "loss.mmr": "Loss of MMR, dated %(on)s.",
        "loss.confirmed": "Confirmed loss of %(response_class)s, dated %(on)s.",
        # --- next sample
        "schedule.off_treatment.regular": "Off treatment since %(since)s: next sample counted from %(anchor)s.",
        "schedule.off_treatment.loss_of_mr4": "MR4 was lost on %(shown_on)s off treatment: shorter interval.",
        "schedule.off_treatment.loss_of_mmr": "Above MMR on %(shown_on)s off treatment: shorter interval.",
        "schedule.restart.until_mmr": "Drug restarted on %(since)s: interval until MMR is back.",
        "schedule.restart.in_mmr": "Drug restarted on %(since)s, in MMR: interval after that.",
        "schedule.on_treatment.until_mmr": "On treatment since %(since)s, MMR not shown: interval until MMR.",
        "schedule.on_treatment.in_mmr": "On treatment since %(since)s, in MMR: interval after that.",
        "schedule.on_treatment.repeat_after_loss": (
            "Above 0.1 %% on %(shown_on)s on treatment after MMR: repeated within four weeks."
        ),
        "schedule.on_treatment.repeat_after_failure": (
            "The sample of %(shown_on)s failed a milestone: repeated within four weeks."
        ),
        "schedule.off_treatment.fluctuation": (
            "MR4 was lost on %(lost_on)s off treatment and is back: fluctuating, sampled monthly for half a year."
        ),
        "schedule.after_transplant": "Transplanted on %(since)s: sampled as on treatment before MMR.",
        "schedule.on_treatment.repeat_after_rise": (
            "Risen by one log or more on treatment by %(shown_on)s: repeated within four weeks."
        ),
        "schedule.on_treatment.repeat_after_mutation": (
            "A mutation was recorded on %(mutation_on)s: sampled within four weeks."
        ),
        "schedule.not_followed": "Nothing is on record since %(last_on)s: lost to follow-up until seen again.",
        "schedule.ended": "No samples are planned after %(kind)s of %(on)s.",
        "schedule.no_treatment_known": "No TKI course is on record: there is nothing to count from.",
        "schedule.slot_not_filled.inevaluable": (
            "The sample of %(on)s is not evaluable (%(response_class)s) and does not count."
        ),
        "schedule.slot_not_filled.bone_marrow": "The sample of %(on)s is bone marrow and does not count.",
        "schedule.result_awaited": "A sample of %(on)s has no final result yet.",
        "schedule.result_overdue": "A sample of %(on)s has no final result after %(days)s days (limit %(limit)s).",
        # --- kinetics
        "kinetics.doubling": "From %(first)s %% to %(second)s %% in %(days)s days.",
        "kinetics.doubling.at_most": (
            "From not detected (at most %(first)s %%) to %(second)s %% in %(days)s days: at most this long."
        ),
        "kinetics.halving": "From %(first)s %% down to %(second)s %% in %(days)s days.",
        "kinetics.unchanged": "The same value (%(first)s %%) %(days)s days apart.",
        "kinetics.refused.same_day": "Two values of one day have no time between them.",
        "kinetics.refused.laboratory_changed": "Different laboratories: %(first)s and %(second)s.",
        "kinetics.refused.method_changed": "Different methods: %(first)s and %(second)s.",
        "kinetics.refused.control_gene_changed": "Different control genes: %(first)s and %(second)s.",
        "kinetics.refused.factor_changed": "The conversion factor changed from %(first)s to %(second)s.",
        "kinetics.refused.specimen_changed": "Blood and bone marrow are not compared.",
        "kinetics.refused.not_final": "A preliminary result is not used.",
        "kinetics.refused.date_not_exact": "A collection date is not known to the day.",
        "kinetics.refused.low_control": (
            "A sample with too few control gene copies has no value that a time can rest on."
        ),
        "kinetics.refused.discordant": (
            "Discordant: %(first)s %% and %(second)s %%, one of them from a sample with too few control gene "
            "copies. A repeat decides, not a time."
        ),
        "kinetics.refused.treatment_changed": "The drug or its dose changed between the two samples.",
        "kinetics.refused.value_missing": "The result of %(on)s has no value on the International Scale.",
        "kinetics.refused.second_undetected": "Nothing was detected on %(on)s: there is no second value.",
        "kinetics.refused.below_bound": (
            "%(second)s %% lies within what was not detectable before (at most %(first)s %%)."
        ),
        "kinetics.month_2.fast": "Doubling time of %(days)s days in month 2 is below %(cut)s days.",
        "kinetics.month_2.slow": "Doubling time of %(days)s days in month 2 is not below %(cut)s days.",
        "kinetics.month_2.not_rising": "Not rising in month 2.",
        "kinetics.month_2.not_known": "Month 2 has no pair of comparable values.",
        "kinetics.month_2.undecided": (
            "Doubling time of at most %(days)s days in month 2: on which side of %(cut)s days is not known."
        ),
        "kinetics.projection": "Above %(limit)s %% projected for %(on)s if the rise goes on unchanged.",
        "kinetics.projection.already_above": "Above %(limit)s %% already on %(on)s.",
        "kinetics.projection.not_rising": "Not rising: nothing is projected.",
        "kinetics.projection.beyond_horizon": "Not projected to pass %(limit)s %% within %(days)s days.",
        "kinetics.early.below_cut": "Halving time of %(days)s days is below %(cut)s days.",
        "kinetics.early.not_below_cut": "Halving time of %(days)s days is not below %(cut)s days.",
        "kinetics.early.cut_not_asked": (
            "The cut-off applies above %(limit)s %% at 3 months; the value was %(second)s %%."
        ),
        "kinetics.early.not_falling": "The value did not fall between %(first_on)s and %(second_on)s.",
        "kinetics.early.no_baseline": "There is no value around the start of treatment on %(since)s.",
        "kinetics.early.no_value": "There is no value around 3 months after %(since)s.",
        # --- milestones
        "milestones.value": "%(value)s %% IS on %(on)s.",
        "milestones.no_sample": "No evaluable sample from %(opens)s to %(closes)s.",
        "milestones.not_yet_due": "The window is open from %(opens)s to %(closes)s.",
        "milestones.any_time_not_yet": "The line for any time is read after %(opens)s.",
        "milestones.unassigned": "%(value)s %% IS on %(on)s has no line in this table.",
        "milestones.undecided": "The result of %(on)s does not say on which side of a limit it lies.",
        "milestones.off_treatment": "Off treatment at that time: the milestone does not apply.",
        "milestones.start_not_known": "The start of treatment is known to the year only.",
        "milestones.confirmed": "Above %(limit)s %% again on %(on)s.",
        "milestones.loss_of_mmr": "MMR of %(held_on)s was lost on %(on)s, on treatment.",
        "milestones.mutation": "A mutation was recorded on %(on)s.",
        # --- eligibility
        "eligibility.population.under_age": "This rule set speaks of people of %(limit)s years or more at the stop.",
        "eligibility.population.diagnosed_later": (
            "This rule set speaks of people diagnosed before the age of %(limit)s."
        ),
        "eligibility.population.not_in_our_sources": "Of which age this rule set speaks is not in our sources.",
        "eligibility.population.age_not_known": "The age that decides whether this rule set applies is not known.",
        "eligibility.duration": "%(months)s whole months up to %(stop_on)s.",
        "eligibility.duration.samples": (
            "%(months)s whole months in %(response_class)s or deeper, from the sample of %(since)s to the last "
            "evaluable one of %(last_on)s."
        ),
        "eligibility.duration.gap": (
            "%(months)s whole months in %(response_class)s or deeper from %(since)s to %(last_on)s, but only "
            "across a gap of more than %(limit)s days without an evaluable sample."
        ),
        "eligibility.duration.last_too_old": (
            "The last evaluable sample is of %(last_on)s, more than %(limit)s months before %(stop_on)s."
        ),
        "eligibility.duration.not_exact": "Partly known dates leave open whether the limit is passed.",
        "eligibility.duration.unnamed_drug": (
            "%(months)s whole months. The set names no limit of its own for %(drug)s: the one for imatinib is asked."
        ),
        "eligibility.duration.none": "Nothing on record counts towards it.",
        "eligibility.duration.left_censored": "The response began before the first result on record.",
        "eligibility.depth": "The last evaluable result is of %(on)s.",
        "eligibility.no_result": "There is no evaluable result up to %(stop_on)s.",
        "eligibility.tests": "%(tests)s tests in deep response, far enough apart.",
        "eligibility.fact": "As recorded.",
        "eligibility.not_recorded": "Not recorded.",
        "eligibility.progression": "A progression was recorded on %(on)s.",
        "eligibility.mutation": "A mutation was recorded on %(on)s.",
        "eligibility.resistance": "A course of %(drug)s ended for resistance on %(on)s.",
        "eligibility.never_detected": (
            "The transcript is not known and this assay has never detected anything here: not detected proves nothing."
        ),
        "eligibility.line": "%(drugs)s drugs on record.",
        "eligibility.line.left": (
            "Second line: %(drug)s was left before (%(stop_reason)s); it counts only after intolerance."
        ),
        "eligibility.stated_failure": "A treatment failure was stated.",
        "eligibility.veto.phase": "Diagnosed in an advanced phase (%(phase)s).",
        "eligibility.veto.transcript": "The transcript %(transcript)s cannot be followed on the International Scale.",
        "eligibility.veto.pregnancy": "A pregnancy was recorded on %(on)s and no end of it.",
        "eligibility.veto.transplant": "An allogeneic transplant was recorded on %(on)s.",
        "eligibility.other_score": "The recorded risk is not a Sokal group.",
    }
)
