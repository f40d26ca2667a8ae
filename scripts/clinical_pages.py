"""Write docs/clinical from the tables that the tests run; `check` fails where a page is not what the tables say."""

import sys
from pathlib import Path

from monitoring.domain.response import EUTOS_2015
from monitoring.domain.scale import CLASS_LIMITS_PERCENT, CONTROL_LIMITS
from tests.domain.test_scoring import WORKED_EXAMPLES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "clinical" / "scoring.md"


def page() -> str:
    """The page on scoring."""
    lines = [
        "# Scoring one measurement",
        "",
        f"Rule set `{EUTOS_2015.version}`. Limits: White 2022 (doi 10.1038/s41375-022-01607-z), NCI PDQ Adult CML. Control",
        "copies and replicates: EUTOS, Cross 2015 (doi 10.1038/leu.2015.29). Classes are decided on the percentage, inclusive.",
        "",
        "| class | at most, % IS |",
        "| --- | --- |",
        *(f"| {c.value} | {limit} |" for c, limit in reversed(CLASS_LIMITS_PERCENT)),
        "",
        "| control gene | MR4, and per replicate | MR4.5 | MR5 |",
        "| --- | --- | --- | --- |",
        *(
            f"| {gene.value} | {limits.mr4} | {limits.mr4_5} | {limits.mr5} |"
            for gene, limits in CONTROL_LIMITS.items()
        ),
        "",
        f"A positive replicate below {EUTOS_2015.low_positive_floor_copies} copies counts as {EUTOS_2015.low_positive_floor_copies}",
        "(not in digital PCR). A positive replicate in a poor tube never vanishes in favour of a deeper class.",
        "",
        "| example | replicates (BCR::ABL1 / control) | gene | factor | % IS | MR | class | flags |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(f"| {' | '.join(cell or '–' for cell in row)} |" for row in WORKED_EXAMPLES),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        if PAGE.read_text(encoding="utf-8") != page():
            sys.exit(f"{PAGE.relative_to(ROOT)} is not what the tables say; run: python -m scripts.clinical_pages")
    else:
        PAGE.write_text(page(), encoding="utf-8")
