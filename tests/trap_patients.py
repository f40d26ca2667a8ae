"""Patients with one trap each: what is recorded, and what must come of it."""

IMATINIB = "imatinib 2010-01-15 2018-03-15 tfr_attempt"
DEEP = "2010-06-15 1000/50000, 2012-03-15 nd/60000, 2015-03-10 nd/60000, 2018-03-10 nd/60000"
RUN_72 = "Deep response (MR4 or deeper) without interruption since 2012-03-15: 72 whole months up to the stop."
# courses (drug, from, last day, reason); observations (kind, day, grade); results (day, tubes or reported %);
# the class of each result, where the latest episode stands, and sentences of the page
COLUMNS = ("trap", "courses", "observations", "results", "classes", "state", "says")
TRAPS = [
    ("72 calendar months of DMR across two leap days", IMATINIB, "", DEEP, "NO_MMR MR4_5 MR4_5 MR4_5", "off_treatment",
     (RUN_72, "No evaluable result after the stop on 2018-03-15")),
    ("a day less than 72 "
     "calendar months", IMATINIB, "", DEEP.replace("2012-03-15", "2012-03-16"), "NO_MMR MR4_5 MR4_5 MR4_5",
     "off_treatment", ("since 2012-03-16: 71 whole months up to the stop.",)),
    ("DMR from a leap day to the last day of February, 72 months on", IMATINIB.replace("2018-03-15", "2018-02-28"), "",
     "2010-06-15 1000/50000, 2012-02-29 nd/60000, 2018-02-20 "
     "nd/60000", "NO_MMR MR4_5 MR4_5", "off_treatment", ("since 2012-02-29: 72 whole months",)),
    ("exactly 0.1 %", IMATINIB, "", f"{DEEP}, 2018-05-15 50/50000", "NO_MMR MR4_5 MR4_5 MR4_5 MMR", "off_treatment",
     ("Response not known: no evaluable result since MMR on 2018-05-15.",)),
    ("just above 0.1 %", IMATINIB, "", f"{DEEP}, 2018-05-15 51/50000", "NO_MMR MR4_5 MR4_5 MR4_5 NO_MMR", "loss_of_mmr",
     ("0.102 % IS on 2018-05-15, 61 days after the stop: above 0.1 %, MMR is lost.",)),
    ("a single 0.13 %, then 0.05 %", IMATINIB, "", f"{DEEP}, 2018-05-15 65/50000, 2018-06-15 25/50000",
     "NO_MMR MR4_5 MR4_5 MR4_5 NO_MMR MMR", "loss_not_confirmed",
     ("0.13 % IS on 2018-05-15",
      "The next value, of 2018-06-15, is in MMR: the loss stands by one value and is not confirmed.")),
    ("undetected with 4,000 ABL1", IMATINIB, "", f"{DEEP}, 2018-05-15 nd/4000",
     "NO_MMR MR4_5 MR4_5 MR4_5 INEVALUABLE_MR4",
     "off_treatment", ("inevaluable for MR4", "No evaluable result after the stop on 2018-03-15")),
    ("a positive replicate in a poor tube beside an undetected good one", IMATINIB, "",
     f"{DEEP}, 2018-05-15 3/4000; "
     f"nd/50000", "NO_MMR MR4_5 MR4_5 MR4_5 MMR", "off_treatment", ("too few control gene copies",)),
    ("restart without loss", f"{IMATINIB} / imatinib 2018-09-01", "", f"{DEEP}, 2018-06-15 nd/60000",
     "NO_MMR MR4_5 MR4_5 MR4_5 MR4_5", "restarted",
     ("imatinib again from 2018-09-01 without loss of MMR: the observation ends, it is no loss of MMR.",)),
    ("two attempts", f"{IMATINIB} / imatinib 2018-07-01 2022-07-01 tfr_attempt", "withdrawal_syndrome 2018-04-10 2",
     f"{DEEP}, 2018-06-15 200/50000, 2018-10-15 20/50000, 2019-06-15 nd/60000, 2022-06-15 nd/60000, 2022-08-15 "
     f"nd/60000",
     "NO_MMR MR4_5 MR4_5 MR4_5 NO_MMR MMR MR4_5 MR4_5 MR4_5", "off_treatment",
     ("Attempt 1 at treatment-free remission.", "Attempt 2 at treatment-free remission.",
      "Withdrawal syndrome of grade 2 recorded on 2018-04-10, 26 days after the stop.",
      "imatinib again from 2018-07-01, 16 days after "
      "the loss.", "MMR regained on 2018-10-15, 106 days after the restart.",
      "Deep response regained on "
      "2019-06-15", "A deep response of 2012-03-15 was lost and regained: the run counts from 2019-06-15.")),
    ("death in remission", IMATINIB, "death 2019-01-05", f"{DEEP}, 2018-06-15 nd/60000",
     "NO_MMR MR4_5 MR4_5 MR4_5 MR4_5", "death",
     ("Death on 2019-01-05 with MMR never lost: the observation ends, it is no loss of MMR.",)),
    ("no PCR after the stop", IMATINIB, "", DEEP, "NO_MMR MR4_5 MR4_5 MR4_5", "off_treatment",
     ("No evaluable result after the stop on 2018-03-15: nothing says whether MMR was held.",)),
    ("not in MMR on the day of stopping", IMATINIB, "", f"{DEEP}, 2018-03-15 100/50000",
     "NO_MMR MR4_5 MR4_5 MR4_5 NO_MMR", "off_treatment",
     ("Not in MMR at the stop: the last evaluable result, of 2018-03-15, is no MMR.", "not in MMR off treatment")),
    ("two results on one day", IMATINIB, "", f"{DEEP}, 2018-05-15 nd/60000, 2018-05-15 60/50000",
     "NO_MMR MR4_5 MR4_5 MR4_5 "
     "MR4_5 NO_MMR", "loss_of_mmr", ("2 results of 2018-05-15: the shallowest class, no MMR, stands for the day.",)),
    ("DMR lost and regained before "
     "the stop", IMATINIB, "", "2012-03-15 nd/60000, 2014-03-15 25/50000, 2014-09-15 nd/60000, 2018-03-10 nd/60000",
     "MR4_5 MMR MR4_5 MR4_5", "off_treatment",
     ("A deep response of 2012-03-15 was lost and regained: the run counts from "
      "2014-09-15.", "since 2014-09-15: 42 whole months")),
    ("a nine-month gap off treatment", IMATINIB, "", f"{DEEP}, 2018-04-15 nd/60000, 2019-01-15 nd/60000",
     "NO_MMR MR4_5 MR4_5 MR4_5 "
     "MR4_5 MR4_5", "off_treatment",
      ("Longest time without an evaluable result off treatment: 2018-04-15 to 2019-01-15, 275 days.",)),
    ("38,5 and 0.25 % and <0.0032 "
     "in a file", IMATINIB, "",
     "2010-02-01 38,5, 2011-02-01 0.25 %, 2014-02-01 <0.0032, 2018-03-01 <0.0032, 2018-06-01 0.25 %",
     "NO_MMR NO_MMR MR4_5 MR4_5 NO_MMR", "loss_of_mmr", ("38.5", "0.25 % IS on 2018-06-01")),
    ("late recurrence", IMATINIB, "", f"{DEEP}, 2019-03-15 nd/60000, 2020-03-16 100/50000",
     "NO_MMR MR4_5 MR4_5 MR4_5 MR4_5 NO_MMR",
     "loss_of_mmr", ("Late recurrence: more than 24 months after the stop.",)),
    ("a planned restart after delivery", "imatinib 2010-01-15 2018-03-15 pregnancy / imatinib 2019-02-01",
     "pregnancy 2018-04-01 / pregnancy_end "
     "2019-01-10", f"{DEEP}, 2018-09-15 nd/60000", "NO_MMR MR4_5 MR4_5 MR4_5 MR4_5", "restarted",
     ("imatinib again from 2019-02-01 after the pregnancy ended on 2019-01-10, without loss of MMR: planned, no "
      "failure.",)),
    ("no MMR three months after "
     "the restart", f"{IMATINIB} / dasatinib 2018-07-01", "",
     f"{DEEP}, 2018-06-15 200/50000, 2018-09-15 200/50000, 2018-12-15 200/50000",
     "NO_MMR MR4_5 MR4_5 MR4_5 NO_MMR "
     "NO_MMR NO_MMR", "restarted", ("No MMR on record 3 months after the restart on 2018-07-01.",)),
    ("deep already when we "
     "first looked", "imatinib 2008-01-15 2018-03-15 tfr_attempt", "", DEEP.split(", ", 1)[1], "MR4_5 MR4_5 MR4_5",
     "off_treatment",
     ("Deep response for 72 whole months at least: it began before our first result of 2012-03-15.",)),
]  # fmt: skip
