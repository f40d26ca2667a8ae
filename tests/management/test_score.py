"""The score command: a file in, a class a line out, nothing stored."""

import io
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError


def scored(tmp_path: Path, content: str, *options: str) -> tuple[list[str], str, int]:
    path = tmp_path / "s.csv"
    path.write_text(content, encoding="utf-8")
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command("score", str(path), *options, stdout=out, stderr=err)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    return out.getvalue().splitlines(), err.getvalue(), code


def test_score_writes_one_line_an_accession_in_order_of_appearance(tmp_path: Path) -> None:
    lines, _, code = scored(
        tmp_path,
        "accession_number,bcr_abl1_copies,control_gene_copies,conversion_factor,collected_on,received_on\n"
        "Z,60,52000,1,2024-01,\nA,nd,18000,0.8,2024-01-01,2024-01-05\nZ,44,48000,1,2024-01,\nA,nd,17000,0.8,"
        "2024-01-01,2024-01-05\n",
    )
    assert lines == [
        "accession_number,is_percent,mr_value,response_class,flags,sensitivity",
        "Z,0.104,2.98,NO_MMR,IMPUTED_DATE,MR5",
        "A,,,MR4_5,OLD_SAMPLE,MR4_5",
    ]
    assert code == 0


def test_score_prints_twelve_significant_digits(tmp_path: Path) -> None:
    lines, _, _ = scored(
        tmp_path, "accession_number,bcr_abl1_copies,control_gene_copies,conversion_factor\nA,3,70001,0.9\n"
    )
    assert lines[1].split(",")[1] == str(round(Decimal(270) / 70001, 14)).rstrip("0")


def test_score_needs_a_minimum_for_bcr_and_refuses_in_words(tmp_path: Path) -> None:
    content = "accession_number,control_gene,bcr_abl1_copies,control_gene_copies\nA,BCR,nd,500000\nB,ABL1,x,5\n"
    lines, said, code = scored(tmp_path, content)
    assert (len(lines), code) == (1, 1)
    assert "--bcr-minimum" in said
    lines, _, code = scored(tmp_path, content, "--bcr-minimum", "20000")
    assert lines[1:] == ["A,,,MR5,,MR5"]
    with pytest.raises(CommandError) as caught:
        scored(tmp_path, content, "--bcr-minimum", "1e9999999")
    assert caught.value.returncode == 2


def test_score_touches_no_database(tmp_path: Path) -> None:
    # No database mark here: pytest-django forbids every query.
    assert scored(tmp_path, "accession_number,transcript,is_percent\nA,e1a2,0.5\n")[0][1] == "A,,,NOT_ON_IS,,NONE"
