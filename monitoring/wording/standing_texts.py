"""Why a class or an alert stands, where a patient off treatment stands, and what was found of each stop."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

STANDING_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        # --- where a patient off treatment stands
        "state.held": "MMR held: last evaluable result %(response_class)s on %(on)s.",
        "state.held_on_drug": (
            "MMR held on %(drug)s, not without treatment: last evaluable result %(response_class)s on %(on)s."
        ),
        "state.not_known": "Response not known: no evaluable result since %(response_class)s on %(on)s.",
        "state.not_known_samples": (
            "Response not known: %(count)s samples since %(response_class)s on %(on)s were not evaluable."
        ),
        "state.never_known": "Response not known: no evaluable result at the stop on %(since)s or since.",
        "state.in_doubt": "Provisional loss of MMR: %(value)s %% on %(on)s is no proof of a loss, and not of MMR.",
        "state.in_doubt_no_value": (
            "Provisional loss of MMR: the result of %(on)s may be above 0.1 %%, and is no proof."
        ),
        "state.in_doubt_unverified": (
            "Response not known, provisional loss of MMR: %(value)s %% on %(on)s is not verified yet."
        ),
        "state.in_doubt_no_value_unverified": (
            "Response not known, provisional loss of MMR: the result of %(on)s may be above 0.1 %% and is not "
            "verified yet."
        ),
        "state.not_in_mmr": "Not in MMR at the stop: last evaluable result above 0.1 %% on %(on)s.",
        "state.lost": "MMR lost: %(value)s %% on %(on)s.",
        "state.lost_no_value": "MMR lost: above 0.1 %% on %(on)s.",
        "state.lost_confirmed": "MMR lost: %(value)s %% on %(on)s, confirmed on %(confirmed_on)s.",
        "state.lost_confirmed_no_value": "MMR lost: above 0.1 %% on %(on)s, confirmed on %(confirmed_on)s.",
        "state.not_confirmed": (
            "Loss not confirmed: %(value)s %% once on %(on)s, %(again)s %% on %(again_on)s without a restart."
        ),
        "state.not_confirmed_undetected": (
            "Loss not confirmed: %(value)s %% once on %(on)s, not detected on %(again_on)s without a restart."
        ),
        "state.not_confirmed_no_value": (
            "Loss not confirmed: above 0.1 %% once on %(on)s, %(again)s %% on %(again_on)s without a restart."
        ),
        "state.not_confirmed_no_value_undetected": (
            "Loss not confirmed: above 0.1 %% once on %(on)s, in MMR on %(again_on)s without a restart."
        ),
        "state.off_scale": (
            "Off the International Scale: ratio %(value)s %% on %(on)s, %(change)s log above the lowest of "
            "%(lowest)s %% on %(lowest_on)s."
        ),
        "state.off_scale_lowest": "Off the International Scale: ratio %(value)s %% on %(on)s, the lowest so far.",
        "state.off_scale_again": (
            "Off the International Scale: detectable again, ratio %(value)s %% on %(on)s, after not detected on "
            "%(lowest_on)s."
        ),
        "state.off_scale_undetected": (
            "Off the International Scale: not detected on %(on)s; what that proves is not known."
        ),
        "state.off_scale_overdue": (
            "Response not known, the next sample is overdue. Off the International Scale: ratio %(value)s %% on "
            "%(on)s, %(change)s log above the lowest of %(lowest)s %% on %(lowest_on)s."
        ),
        "state.off_scale_lowest_overdue": (
            "Response not known, the next sample is overdue. Off the International Scale: ratio %(value)s %% on "
            "%(on)s, the lowest so far."
        ),
        "state.off_scale_again_overdue": (
            "Response not known, the next sample is overdue. Off the International Scale: detectable again, ratio"
            " %(value)s %% on %(on)s, after not detected on %(lowest_on)s."
        ),
        "state.off_scale_undetected_overdue": (
            "Response not known, the next sample is overdue. Off the International Scale: not detected on %(on)s;"
            " what that proves is not known."
        ),
        "state.restarted": "%(drug)s restarted on %(on)s.",
        "state.restarted_after_loss": "%(drug)s restarted on %(on)s, after MMR was lost on %(above_on)s.",
        "state.death": "Died on %(on)s.",
        "state.allogeneic_transplant": "Transplanted on %(on)s.",
        # --- why a class stands
        "class.invalid": (
            "Every replicate failed its run controls or has no control signal, or the assay does not see the "
            "transcript."
        ),
        "class.no_factor": (
            "Detected, but the laboratory has no conversion factor and reported no percentage on the "
            "International Scale."
        ),
        "class.off_scale": "The transcript is not e13a2 or e14a2: the International Scale does not hold for it.",
        "class.undetected": (
            "Not detected in %(control)s control gene copies of good replicates: enough for %(response_class)s."
        ),
        "class.undetected_poor": (
            "Not detected, but no replicate is good enough: at most %(control)s control gene copies, MR4 needs "
            "%(needed)s."
        ),
        "class.undetected_below_own": (
            "Not detected, but no replicate reaches the laboratory's own minimum: at most %(control)s control "
            "gene copies."
        ),
        "class.undetected_by_limit": (
            "Not detected, without control gene copies: the limit of detection of %(limit)s %% supports "
            "%(response_class)s."
        ),
        "class.undetected_nothing_known": (
            "Not detected, without control gene copies and without a limit of detection: it proves nothing."
        ),
        "class.named": (
            "The laboratory names the class %(response_class)s without a number; what the sample could have seen "
            "is not known."
        ),
        "class.below": "Detected below %(limit)s %%: %(response_class)s, by that limit and the control gene copies.",
        "class.below_useless": "Detected below %(limit)s %%: says nothing of MMR.",
        "class.above": "Above %(limit)s %%, the upper end of the assay: above 0.1 %%.",
        "class.above_useless": (
            "Above %(limit)s %%, which is below 0.1 %%: a loss of MMR is possible, nothing is proved."
        ),
        "class.no_mmr": "%(value)s %% IS is above 0.1 %%.",
        "class.discordant": (
            "%(value)s %% IS with a positive replicate in a poor tube: it counts, and the class is never deeper "
            "than MMR."
        ),
        "class.capped": "%(value)s %% IS; the control gene copies allow no more than %(response_class)s.",
        "class.value": "%(value)s %% IS is at most %(limit)s %%.",
        # --- why an alert stands
        "alert.loss_of_mmr": (
            "%(value)s %% IS on %(on)s, %(days)s days after the stop, is above 0.1 %%; the highest since is "
            "%(highest)s %%."
        ),
        "alert.loss_of_mmr.no_value": (
            "The result of %(on)s, %(days)s days after the stop, is or may be above 0.1 %%; it has no value."
        ),
        "alert.not_in_mmr_off_treatment": "The last evaluable result up to the stop, of %(on)s, is not in MMR.",
        "alert.loss_of_mmr_on_treatment": (
            "The result of %(on)s is above 0.1 %% after MMR had been held, on treatment. A mutation analysis and "
            "a look at adherence belong to it."
        ),
        "alert.loss_of_mmr_on_treatment.confirmed": (
            "The result of %(on)s is above 0.1 %% after MMR had been held, on treatment, and the next one "
            "confirms it. A mutation analysis and a look at adherence belong to it."
        ),
        "alert.rise_on_treatment": (
            "The result of %(on)s lies a log or more above the lowest value under this treatment, while MMR is "
            "still held. A mutation analysis and a look at adherence belong to it."
        ),
        "alert.treatment_unknown": (
            "The result of %(on)s is above 0.1 %% after MMR had been held; no treatment is on record for that day."
        ),
        "alert.stop_reason_missing": "Treatment stopped on %(on)s without a reason on record.",
        "alert.factor_missing": "The result of %(on)s has neither a conversion factor nor a reported percentage.",
        "alert.detectable_again": (
            "Detectable again on %(on)s, %(days)s days after the stop: MR4.5 is no longer shown."
        ),
        "alert.loss_of_mr4": "Above 0.01 %% on %(on)s, %(days)s days after the stop: MR4 is lost.",
        "alert.fast_doubling": "The doubling time up to %(on)s, %(days)s days after the stop, is below 12.75 days.",
        "alert.fluctuation": "A second value in a row above 0.0032 %% on %(on)s, %(days)s days after the stop.",
        "alert.unverified": "The preliminary result of %(on)s has waited for four hours for a second person.",
        "alert.suspicious_value": (
            "The preliminary result of %(on)s would lose MMR and looks like a slip; it has waited for an hour."
        ),
        "alert.milestone_failed": (
            "The result of %(on)s fails a milestone on treatment. A mutation analysis and a look at adherence "
            "belong to it."
        ),
        "alert.no_mmr_after_restart": "MMR is not back three months after the restart on %(on)s.",
        "alert.overdue_sample": "No evaluable sample since; the last one was due on %(on)s.",
        "alert.overdue_result": "The sample of %(on)s has no final result.",
        "alert.no_restart": "MMR was lost on %(on)s; no restart is on record 28 days later.",
        "alert.loss_in_pregnancy": "MMR was lost on %(on)s and a pregnancy is on record: a specialist looks at it.",
        "alert.off_scale_relapse": (
            "Sample of %(on)s: a transcript off the International Scale is detectable again after not detected, "
            "or has risen by one log or more on one assay. No limit in %% holds for it: the ratio itself is to be"
            " read."
        ),
        "alert.relapse_after_transplant": (
            "The result of %(on)s is above 0.1 %% after an allogeneic transplant and MMR since."
        ),
        "alert.hand_over": (
            "What had been so for more than 90 days when it was first known, and is still so, is a worklist: each"
            " row is signed off by itself."
        ),
        "alert.lost_to_follow_up": (
            "Nothing is on record of this person since %(on)s: what the response is, nobody knows."
        ),
        "alert.no_clinician": "No clinician of this centre can be reached.",
        "alert.unconfirmed_treatment": (
            "On %(on)s a restart, a death or a transplant is on record that nobody who treats has recorded. It "
            "ends no alert until one of them records it too."
        ),
        "alert.set_aside": (
            "Since %(on)s work for this centre fails and is tried again with growing pauses; administrators see "
            "it under State of the service."
        ),
        # --- what happened in an episode, and what to know about the series
        "findings.attempt": "Attempt %(number)s at treatment-free remission.",
        "findings.reason_unknown": "The reason of the stop is not on record; it is watched like an attempt.",
        "findings.other_stop": "Not stopped as an attempt: watched like one, left out of the statistics of attempts.",
        "findings.no_baseline": "No evaluable result up to the stop on %(stopped_on)s.",
        "findings.baseline": "The last evaluable result up to the stop, of %(on)s, is %(response_class)s.",
        "findings.baseline_not_in_mmr": (
            "Not in MMR at the stop: the last evaluable result, of %(on)s, is %(response_class)s."
        ),
        "findings.no_dmr": (
            "The last evaluable result up to the stop is not in deep response (MR4): the run has length 0."
        ),
        "findings.dmr": (
            "Deep response (MR4 or deeper) without interruption since %(since)s: %(months)s whole months up to "
            "the stop."
        ),
        "findings.dmr_elsewhere": (
            "Deep response since %(since)s, reached elsewhere before our first result: %(months)s whole months up"
            " to the stop."
        ),
        "findings.dmr_at_least": (
            "Deep response for %(months)s whole months at least: it began before our first result of %(since)s."
        ),
        "findings.dmr_interrupted": (
            "A deep response of %(first_on)s was lost and regained: the run counts from %(since)s."
        ),
        "findings.gap_in_dmr": (
            "Longest time without an evaluable result within that response: %(first)s to %(second)s, %(days)s days."
        ),
        "findings.gap_off": (
            "Longest time without an evaluable result off treatment: %(first)s to %(second)s, %(days)s days."
        ),
        "alert.no_evidence": (
            "Off treatment since %(on)s without anything evaluable since: nothing says whether MMR is held."
        ),
        "findings.no_pcr_after_stop": (
            "No evaluable result after the stop on %(stopped_on)s: nothing says whether MMR was held."
        ),
        "findings.withdrawal_syndrome_graded": (
            "Withdrawal syndrome of grade %(grade)s recorded on %(on)s, %(days)s days after the stop."
        ),
        "findings.withdrawal_syndrome": (
            "Withdrawal syndrome recorded on %(on)s, %(days)s days after the stop; no grade."
        ),
        "findings.death_in_remission": (
            "Death on %(on)s with MMR never lost: the observation ends, it is no loss of MMR."
        ),
        "findings.observed": "%(kind)s on %(on)s, %(days)s days after the stop.",
        "findings.loss": "%(value)s %% IS on %(on)s, %(days)s days after the stop: above 0.1 %%, MMR is lost.",
        "findings.loss_above_range": (
            "Above the range of the assay on %(on)s, %(days)s days after the stop: MMR is lost."
        ),
        "findings.loss_confirmed": "Above 0.1 %% again on %(on)s: confirmed.",
        "findings.loss_not_repeated": (
            "The next value, of %(on)s, is in MMR: the loss stands by one value and is not confirmed."
        ),
        "findings.late_recurrence": "Late recurrence: more than %(months)s months after the stop.",
        "findings.restart_planned": (
            "%(drug)s again from %(on)s after the pregnancy ended on %(delivered_on)s, without loss of MMR: "
            "planned, no failure."
        ),
        "findings.restart_without_loss": (
            "%(drug)s again from %(on)s without loss of MMR: the observation ends, it is no loss of MMR."
        ),
        "findings.restart_after_loss": "%(drug)s again from %(on)s, %(days)s days after the loss.",
        "findings.mmr_regained": "MMR regained on %(on)s, %(days)s days after the restart.",
        "findings.dmr_regained": "Deep response regained on %(on)s, %(days)s days after the restart.",
        "findings.no_mmr_after_restart": "No MMR on record %(months)s months after the restart on %(since)s.",
        "findings.same_day": (
            "%(results)s results of %(on)s: the shallowest class, %(response_class)s, stands for the day."
        ),
        "findings.laboratory_changed": (
            "Another laboratory, last from %(on)s: %(first)s, then %(second)s. No doubling time is computed across it."
        ),
        "findings.method_changed": (
            "Another method, last from %(on)s: %(first)s, then %(second)s. No doubling time is computed across it."
        ),
        "findings.control_gene_changed": (
            "Another control gene, last from %(on)s: %(first)s, then %(second)s. No doubling time is computed "
            "across it."
        ),
        "findings.factor_changed": (
            "Another conversion factor, last from %(on)s: %(first)s, then %(second)s. No doubling time is "
            "computed across it."
        ),
        "findings.wrong_assay": (
            "The assay of %(on)s does not see %(transcript)s: that nothing was detected proves nothing."
        ),
        "findings.off_scale": (
            "%(transcript)s has no International Scale: no class, only the change against the patient's own values."
        ),
        "findings.off_scale_change": "Between %(first_on)s and %(on)s the ratio of copies changed by %(change)s log.",
    }
)
