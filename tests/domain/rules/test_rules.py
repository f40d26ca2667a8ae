"""Rule sets: what is shipped, the register of disagreements, and how a wrong file is refused."""

import json
import string
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from monitoring.domain.course.protocol_loss import loss_rule
from monitoring.domain.course.relapse import LossRule
from monitoring.domain.rules.rule_sets import (
    FOLDER,
    REGISTER,
    Evidence,
    RuleSetProblem,
    load_rule_sets,
    parse_rule_set,
    read_folder,
    rule_set,
    rule_sets_of,
    settled_disagreements,
    superseded_by,
)
from monitoring.domain.rules.values import Span
from monitoring.domain.scoring.response_rules import EUTOS_2015, ResponseRules
from monitoring.wording.reason_texts import TEXTS, in_english
from scripts.clinical_pages import SETTLED_ELSEWHERE

SHIPPED = [
    # id, population, evidence, start of the file's digest. What was read of a shipped file is never edited: where this
    # table disagrees, put the change into a new file with the next number (ADR 0016: what nobody had read was taken
    # out).
    ("eligibility-chinese-2020.1", "any", "S2", "8b66b43aeb7598ba"),
    ("eligibility-eln-2020.1", "adult", "S2", "411312a834e11f0e"),
    ("eligibility-eln-2025.1", "adult", "S", "895d44a0e73fdd89"),
    ("eligibility-esmo-2017.1", "adult", "S2", "9409ae079eedc401"),
    ("eligibility-nccn-2020.1", "adult", "S2", "ccb0a1891bf1e4b0"),
    ("eligibility-nccn-2020.2", "adult", "S2", "7980d458fc3c4e03"),
    ("eligibility-nhc-2022.1", "any", "S2", "c9ccffe873b21931"),
    ("eligibility-paediatric-panel-2025.1", "paediatric", "S", "dfb5b1a38f4951f7"),
    ("eligibility-stki-14.1", "paediatric", "S", "acc93100ad418ee8"),
    ("kinetics-ln-ratio.1", "any", "S", "cbdc4e34b1e9833c"),
    ("loss-enestop.1", "any", "S2", "82a49371050be6b6"),
    ("loss-mmr-single.1", "any", "S2", "bc30446161d1f0b4"),
    ("loss-mmr-two-consecutive.1", "any", "S2", "40b975e64a9ede72"),
    ("milestones-chinese-2020.1", "any", "S2", "7955d0c54b85388d"),
    ("milestones-eln-2020.1", "adult", "S2", "8c97ac8bbbce1e36"),
    ("milestones-eln-2025.1", "adult", "S", "d53311931b630fe7"),
    ("milestones-esmo-2017.1", "adult", "S2", "8523460d228fb4e7"),
    ("milestones-nccn.1", "adult", "S2", "625041432cf6416d"),
    ("milestones-nhc-2022.1", "any", "S2", "892e2c17097c88cd"),
    ("milestones-paediatric-panel-2025.1", "paediatric", "S", "c5ee013cacc55e25"),
    ("response-eutos-2015.1", "any", "S2", "bc882b1aae7eb0f8"),
    ("schedule-chinese-2020.1", "any", "S2", "4c8d5dcbb9573e51"),
    ("schedule-eln-2020.1", "adult", "S2", "e500de1c16bfc7a7"),
    ("schedule-eln-2025.1", "adult", "S", "87d2df5cfba96451"),
    ("schedule-enestfreedom.1", "adult", "S2", "ec8cb757a729cac3"),
    ("schedule-esmo-2017.1", "adult", "S2", "eef901fe1ccc5a07"),
    ("schedule-nccn-2021.1", "adult", "S2", "3d903fad4a63e9b6"),
    ("schedule-nccn-2021.2", "adult", "S2", "96dd40c3a275e6e6"),
    ("schedule-nhc-2022.1", "any", "S2", "9111c6dd9d541833"),
    ("schedule-paediatric-panel-2025.1", "paediatric", "S", "50663426c28764ea"),
    ("schedule-quarterly.1", "paediatric", "S", "b724836b488150ca"),
]

REGISTER_DEFAULTS = [
    # disagreement, rule set, parameter, suggested default
    ("D1", "response-eutos-2015.1", "cap_positive_by_control", True),
    ("D6", "loss-mmr-single.1", "n_consecutive", 1),
    ("D6", "loss-mmr-two-consecutive.1", "n_consecutive", 2),
    ("D7", "loss-mmr-two-consecutive.1", "date_of_event", "first"),
    ("D11", "kinetics-ln-ratio.1", "formula", None),  # done in one way: the line stands for its source
    ("D12", "kinetics-ln-ratio.1", "control_gene", None),
    ("D13", "response-eutos-2015.1", "old_sample_hours", 48),
    ("D18", "eligibility-eln-2020.1", "max_dips", 0),
    ("D19", "eligibility-nccn-2020.1", "minimum_age_at_stop", 18),
    ("D19", "eligibility-stki-14.1", "diagnosed_before_age", 20),
    ("D20", "response-eutos-2015.1", "low_positive_floor_copies", Decimal(3)),
    ("D23", "kinetics-ln-ratio.1", "method_change", None),
]


def test_what_is_shipped() -> None:
    assert [(r.id, r.population, r.evidence, r.digest[:16]) for r in load_rule_sets().values()] == SHIPPED


def test_rule_sets_are_read_once_and_cannot_be_changed() -> None:
    assert load_rule_sets() is load_rule_sets()
    with pytest.raises(TypeError):
        load_rule_sets()["x"] = rule_set("loss-enestop.1")  # type: ignore[index]
    with pytest.raises(TypeError):
        rule_set("loss-enestop.1").parameters["x"] = None  # type: ignore[index]


@pytest.mark.parametrize(("register", "rule_id", "name", "default"), REGISTER_DEFAULTS)
def test_default_of_the_register(register: str, rule_id: str, name: str, default: object) -> None:
    parameter = rule_set(rule_id).parameter(name)
    assert (parameter.register, parameter.value) == (register, default)


def test_every_disagreement_is_settled_by_a_parameter_or_in_one_way_only() -> None:
    named = {register for r in load_rule_sets().values() for register in settled_disagreements(r)}
    assert named | set(SETTLED_ELSEWHERE) == set(REGISTER)
    assert not named & set(SETTLED_ELSEWHERE)


def test_d3_and_d4_lie_in_the_lines_of_6_and_12_months() -> None:
    month_6 = rule_set("milestones-eln-2020.1").parameter("month_6")
    assert (month_6.register, month_6.value[0].high, month_6.value[0].high_inclusive) == ("D3", Decimal(1), True)  # type: ignore[index]
    month_12 = rule_set("milestones-nccn.1").parameter("month_12")
    worst = month_12.value[-1]  # type: ignore[index]
    assert (month_12.register, worst.status, worst.low, worst.low_inclusive) == ("D4", "resistant", Decimal(10), False)


def test_d5_more_than_in_eln_and_at_least_in_nccn() -> None:
    eln, nccn = (rule_set(i).parameter("tki_duration") for i in ("eligibility-eln-2020.1", "eligibility-nccn-2020.1"))
    assert (eln.register, eln.value.operator, eln.value.months) == ("D5", ">", 60)  # type: ignore[attr-defined]
    assert (nccn.register, nccn.value.operator, nccn.value.months) == ("D5", ">=", 36)  # type: ignore[attr-defined]


def test_d8_and_d17_are_asked_of_every_schedule_and_guideline() -> None:
    assert {r.parameter("off_treatment").register for r in rule_sets_of("schedule")} == {"D8", "D24"}
    given = [r for r in rule_sets_of("eligibility") if not r.is_silent("dmr_duration")]
    assert {r.parameter("dmr_duration").register for r in given} == {"D17"}


def test_what_scores_is_what_the_file_says() -> None:
    assert ResponseRules("eutos-2015.3", Decimal(3), True, Decimal("0.05"), 48) == EUTOS_2015  # a whole record


def test_the_default_loss_rule_is_the_one_that_alerts() -> None:
    assert loss_rule(rule_set("loss-mmr-single.1")) == LossRule()
    assert loss_rule(rule_set("loss-mmr-two-consecutive.1")) == LossRule(n_consecutive=2)


def test_what_no_source_confirms_says_so_in_its_note() -> None:
    for rules in load_rule_sets().values():
        for parameter in rules.parameters.values():
            assert parameter.confirmed or parameter.note, f"{rules.id} {parameter.name}"
        assert rules.evidence is not Evidence.UNCONFIRMED


def test_values_are_exact() -> None:
    assert rule_set("milestones-eln-2020.1").get("month_12")[0].high == Decimal("0.1")
    assert rule_set("schedule-esmo-2017.1").get("off_treatment")[1].interval.every == Span(days=42)


def test_a_wrong_name_names_what_there_is() -> None:
    with pytest.raises(KeyError, match=r"loss-mmr-single\.1"):
        rule_set("loss-mmr-single.2")
    with pytest.raises(KeyError, match="n_consecutive"):
        rule_set("loss-mmr-single.1").get("consecutive")
    with pytest.raises(TypeError, match="no str"):
        rule_set("loss-mmr-single.1").value("n_consecutive", str)


def test_a_reason_carries_rule_line_citation_and_facts() -> None:
    said = rule_set("kinetics-ln-ratio.1").reason("month_2_cut_days", "kinetics.month_2.not_rising", days=9)
    assert (said.rule_id, said.line, said.values) == ("kinetics-ln-ratio.1", "month_2_cut_days", {"days": 9})
    assert "10.1111/bjh.17807" in said.citation
    assert in_english(said) == "Not rising in month 2."


def test_every_template_has_only_named_placeholders() -> None:
    for code, template in TEXTS.items():
        names = {part.split(")")[0] for part in template.replace("%%", "").split("%(")[1:]}
        assert all(set(name) <= set(string.ascii_lowercase + "_") for name in names), code
        assert template % dict.fromkeys(names, "x")


# --- wrong files ------------------------------------------------------------------------------------------------

GOOD = (FOLDER / "schedule-eln-2020.1.json").read_text(encoding="utf-8")


def spoilt(name: str, value: object) -> str:
    """The ELN schedule with one parameter's value replaced."""
    raw = json.loads(GOOD)
    raw["parameters"][name]["value"] = value
    return json.dumps(raw)


def phase(start: object, end: object, **more: object) -> dict[str, object]:
    return {"from": start, "to": end, "every": {"months": 1}, "tolerance_days": 7, **more}


MONTH_0, MONTH_6, MONTH_7 = {"months": 0}, {"months": 6}, {"months": 7}
WRONG_VALUES: list[tuple[str, Any, str]] = [
    # parameter, wrong value, what the message says
    ("result_overdue_days", "14", "write a whole number"),
    ("result_overdue_days", 0, "of 1 or more"),
    ("result_overdue_days", True, "write a whole number"),
    ("result_overdue_days", 1.5, "write a whole number"),
    ("off_treatment", [], "write a list of phases"),
    ("off_treatment", [phase(MONTH_6, None)], "must start at 0"),
    ("off_treatment", [phase(MONTH_0, MONTH_6), phase(MONTH_7, None)], "must start where the one before it ends"),
    ("off_treatment", [phase(MONTH_0, MONTH_6)], "must be open"),
    ("off_treatment", [phase(MONTH_0, MONTH_0), phase(MONTH_0, None)], "must end after it starts"),
    ("off_treatment", [phase(MONTH_0, None, note="x")], "'note' is not known here"),
    ("after_restart_in_mmr", {"every": {"months": 0}, "tolerance_days": 7}, "never ends"),
    ("after_restart_in_mmr", {"every": {"years": 1}, "tolerance_days": 7}, "months, weeks or days"),
    ("after_restart_in_mmr", {"every": {"months": 3}}, "'tolerance_days' is missing"),
    ("after_restart_in_mmr", {"every": {"months": 6}, "until": {"months": 3}, "tolerance_days": 7}, "exchange"),
    ("after_restart_in_mmr", None, "write an object"),
]


@pytest.mark.parametrize(("name", "value", "fix"), WRONG_VALUES)
def test_a_wrong_value_is_refused_with_file_key_and_fix(name: str, value: object, fix: str) -> None:
    with pytest.raises(RuleSetProblem) as problem:
        parse_rule_set(spoilt(name, value), "schedule-eln-2020.1.json")
    assert (problem.value.file, problem.value.key) == ("schedule-eln-2020.1.json", f"parameters.{name}.value")
    assert fix in problem.value.fix


WRONG_FRAMES = [
    # what is replaced, by what, key, what the message says
    ('"schedule-eln-2020.1"', '"schedule-eln-2020"', "id", "a dot and a number"),
    ('"schedule-eln-2020.1"', '"schedule-eln-2020.2"', "id", "must be called schedule-eln-2020.2.json"),
    ('"kind": "schedule"', '"kind": "loss"', "id", "write 'loss-'"),
    ('"kind": "schedule"', '"kind": "plan"', "kind", "write one of"),
    ('"adult"', '"grown-up"', "population", "write one of adult, paediatric, any"),
    ('"PMC7214240"', '"7214240"', "citation.pmc", "PMC7214240"),
    ('"doi": null', '"doi": "https://doi.org/10.1038/x"', "citation.doi", "10.1038/x"),
    ('"S2"', '"S3"', "evidence", "write one of S, S2"),
    ('"D8"', '"D27"', "parameters.off_treatment.register", "D26"),
    ('"title"', '"name"', "the file", "'title' is missing"),
    ('"result_overdue_days"', '"overdue"', "parameters", "'result_overdue_days' is missing"),
    ('"result_overdue_days"', '"sample_match_days"', "sample_match_days", "stands twice"),
    ('"value": 14', '"value": NaN', "NaN", "is no number"),
    ("{", "", "line 2", "is not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "key", "fix"), WRONG_FRAMES)
def test_a_wrong_frame_is_refused(old: str, new: str, key: str, fix: str) -> None:
    text = GOOD.replace(old, new, 1)
    with pytest.raises(RuleSetProblem) as problem:
        parse_rule_set(text, "schedule-eln-2020.1.json")
    assert problem.value.key.startswith(key)
    assert fix in problem.value.fix


WRONG_LINES = [
    # kind of file, parameter, wrong value, what the message says
    ("milestones-eln-2020.1", "month_6", [{"status": "optimal"}], "at least one of them"),
    ("milestones-eln-2020.1", "month_6", [{"status": "a", "<=": 1}, {"status": "b", ">=": 1}], "lies in two ranges"),
    ("milestones-eln-2020.1", "month_6", [{"status": "a", "<=": 2}, {"status": "b", ">": 1}], "not overlap"),
    ("milestones-eln-2020.1", "month_6", [{"status": "a", "<": 2, "<=": 1}], "at most one lower"),
    ("milestones-eln-2020.1", "statuses", ["good", "good"], "different words"),
    ("milestones-eln-2020.1", "month_6", [{"status": "fine", "<=": 1}], "write one of optimal, warning, failure"),
    ("milestones-eln-2020.1", "loss_of_mmr", "alarm", "write one of optimal, warning, failure"),
    ("eligibility-eln-2020.1", "tki_duration", {"level": "minimal", "op": "<", "months": 60}, "write one of >, >="),
    ("eligibility-eln-2020.1", "tki_duration", {"level": "urgent", "op": ">", "months": 60}, "mandatory, minimal"),
    ("eligibility-eln-2020.1", "transcript", {"level": "minimal", "in": ["b3a2"]}, "e13a2"),
    ("eligibility-eln-2020.1", "dmr_duration", {"level": "minimal", "any_of": []}, "'any_of' must be a list"),
    ("loss-mmr-single.1", "n_consecutive", 3, "write 1 or 2"),
    ("kinetics-ln-ratio.1", "month_2_cut_days", 0, "above 0"),
    ("loss-mmr-single.1", "restart_confirms", "yes", "true or false"),
    ("kinetics-ln-ratio.1", "sd_log10", [{"from_mr": 1, "sd_log10": 0.2}], "ascend from MR 0"),
    ("response-eutos-2015.1", "mismatch_fraction", 95, "between 0 and 1"),
]


@pytest.mark.parametrize(("rule_id", "name", "value", "fix"), WRONG_LINES)
def test_a_wrong_line_is_refused(rule_id: str, name: str, value: object, fix: str) -> None:
    raw = json.loads((FOLDER / f"{rule_id}.json").read_text(encoding="utf-8"))
    raw["parameters"][name]["value"] = value
    with pytest.raises(RuleSetProblem, match=name) as problem:
        parse_rule_set(json.dumps(raw), f"{rule_id}.json")
    assert fix in problem.value.fix


def test_a_folder_with_one_wrong_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "schedule-eln-2020.1.json").write_text(GOOD)
    assert list(read_folder(tmp_path)) == ["schedule-eln-2020.1"]
    (tmp_path / "schedule-mine.1.json").write_text(GOOD)
    with pytest.raises(RuleSetProblem, match=r"schedule-mine\.1\.json"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("rule_id", "name"),
    [
        ("loss-mmr-single.1", "inevaluable_breaks_chain"),
        ("loss-mmr-single.1", "threshold_percent"),
        ("response-eutos-2015.1", "classify_on"),
        ("schedule-eln-2020.1", "notes"),
    ],
)
def test_what_nobody_reads_cannot_be_written(rule_id: str, name: str) -> None:
    raw = json.loads((FOLDER / f"{rule_id}.json").read_text(encoding="utf-8"))
    raw["parameters"][name] = {"value": 1, "register": None, "confirmed": True, "note": ""}
    with pytest.raises(RuleSetProblem, match=name):
        parse_rule_set(json.dumps(raw), f"{rule_id}.json")


def test_what_is_done_in_one_way_only_has_no_value() -> None:
    raw = json.loads((FOLDER / "kinetics-ln-ratio.1.json").read_text(encoding="utf-8"))
    raw["parameters"]["formula"]["value"] = "fold_per_day"
    with pytest.raises(RuleSetProblem, match="formula"):
        parse_rule_set(json.dumps(raw), "kinetics-ln-ratio.1.json")


# --- what is not in our sources, and newer sets -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["eln-2025", "chinese-2020", "nhc-2022", "paediatric-panel-2025"])
@pytest.mark.parametrize("kind", ["schedule", "milestones"])
def test_where_our_sources_are_silent_another_set_stands_in_under_its_own_name(kind: str, name: str) -> None:
    rules, eln = rule_set(f"{kind}-{name}.1"), rule_set(f"{kind}-eln-2020.1")
    line = "off_treatment" if kind == "schedule" else "month_12"
    assert line in rules.not_in_our_sources
    assert line not in rules.parameters
    assert rules.get(line) == eln.get(line)
    said = rules.reason(line, "schedule.no_treatment_known")
    assert (said.rule_id, said.citation) == (eln.id, eln.source(line))
    own = "result_overdue_days" if kind == "schedule" else "milestone_window_days"
    assert rules.reason(own, "schedule.no_treatment_known").rule_id == rules.id


def test_criteria_before_a_stop_are_never_lent() -> None:
    for rules in rule_sets_of("eligibility"):
        assert rules.lender is None
        assert all(rules.is_silent(name) and rules.optional(name, int) is None for name in rules.not_in_our_sources)


SUPERSEDED = [
    # older set, the newest of the same body
    ("schedule-eln-2020.1", "schedule-eln-2025.1"),
    ("milestones-eln-2020.1", "milestones-eln-2025.1"),
    ("eligibility-eln-2020.1", "eligibility-eln-2025.1"),
    ("eligibility-eln-2025.1", None),
    ("milestones-esmo-2017.1", None),
    ("eligibility-stki-14.1", None),  # another body than the paediatric panel
]


@pytest.mark.parametrize(("older", "newest"), SUPERSEDED)
def test_the_newer_set_of_the_same_body(older: str, newest: str | None) -> None:
    newer = superseded_by(rule_set(older))
    assert (newer.id if newer else None) == newest


WRONG_LINKS = [
    # what an ELN 2025 schedule says, key of the problem
    ({"supersedes": "schedule-esmo-2017.1"}, "supersedes"),  # of another body
    ({"supersedes": "schedule-eln-2013.1"}, "supersedes"),  # not here
    ({"supersedes": "schedule-eln-2025.1"}, "supersedes"),  # itself
    ({"where_silent": "schedule-eln-2013.1"}, "where_silent"),  # not here
    ({"where_silent": "schedule-eln-2025.1"}, "where_silent"),  # silent itself
    ({"where_silent": None}, "where_silent"),  # nobody would plan
    ({"not_in_our_sources": ["off_treatment", "off_treatment"]}, "not_in_our_sources"),
    ({"not_in_our_sources": ["month_3"]}, "not_in_our_sources"),  # of another kind
    ({"not_in_our_sources": ["off_treatment"]}, "parameters"),  # the others are neither given nor named
]


@pytest.mark.parametrize(("said", "key"), WRONG_LINKS)
def test_a_wrong_link_between_sets_is_refused(said: dict[str, Any], key: str, tmp_path: Path) -> None:
    for name in ("schedule-eln-2020.1", "schedule-esmo-2017.1", "schedule-eln-2025.1"):
        raw = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        (tmp_path / f"{name}.json").write_text(json.dumps(raw | (said if name == "schedule-eln-2025.1" else {})))
    with pytest.raises(RuleSetProblem) as problem:
        read_folder(tmp_path)
    assert (problem.value.file, problem.value.key) == ("schedule-eln-2025.1.json", key)


def test_a_set_is_superseded_once(tmp_path: Path) -> None:
    for name in ("schedule-eln-2020.1", "schedule-eln-2025.1", "schedule-eln-2030.1"):
        text = (FOLDER / f"{name.replace('2030', '2025')}.json").read_text(encoding="utf-8")
        (tmp_path / f"{name}.json").write_text(text.replace('"id": "schedule-eln-2025.1"', f'"id": "{name}"'))
    with pytest.raises(RuleSetProblem, match="superseded twice"):
        read_folder(tmp_path)
