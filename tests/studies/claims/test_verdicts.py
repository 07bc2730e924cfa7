"""The table of claims, Trifeature's part of it, and the stage that writes it."""

import re
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.studies.claims.evidence import NOT_SUPPORTED, SUPPORTED
from cell_synergy.studies.claims.rules import (
    CAPTURED,
    COLLAPSE,
    HIGHEST_ON_NICHES,
    LOCAL,
    NICHES,
    RULES,
)
from cell_synergy.studies.claims.verdicts import COLUMNS, markdown, on_trifeature, verdicts
from stages.claims import Args, main

from .conftest import CONTROLS, METHODS, made

ROLES = {"lung": "synergy"}
TASKS = "redundancy", "unique_image", "unique_expression", "synergy"


def drawn(**changed):
    """Return Trifeature's scores; of a method those of each task."""
    values = {"comm": (1, 0.99, 0.97, 0.8), "simclr": (1, 0.85, 0.65, 0.47)} | changed
    rows = [
        {"method": m, "task": t, "probe": probe, "value": v, "n": 6000, "classes": k}
        for m, own in values.items()
        for t, v, k in zip(TASKS, own, (10, 10, 10, 2), strict=True)
        for probe in ("linear", "mlp")
    ]
    return pd.DataFrame(rows)


def test_every_claim_is_judged_on_every_data_set_and_on_trifeature(claims):
    result = {"lung": made(), "mine": made()}
    table = verdicts(result, {"lung": True, "mine": False}, ROLES, drawn(), claims)
    assert list(table.columns) == COLUMNS
    whole = table[table["task"] == "all"]
    assert len(whole) == 3 * len(RULES)
    assert not whole[["claim", "dataset", "verdict", "evidence"]].isna().any(axis=None)
    assert whole.groupby("dataset")["simulated"].first().to_dict() == {
        "lung": True, "mine": False, "trifeature": True,
    }  # fmt: skip


def test_every_task_of_a_claim_has_a_row_with_its_numbers(claims):
    table = verdicts({"lung": made()}, {"lung": True}, ROLES, drawn(), claims)
    gains = table[(table["dataset"] == "lung") & (table["quantity"] == "gain")]
    gains = gains[gains["claim"].isin([NICHES, LOCAL])]
    assert set(gains["task"]) == {"cell_type", "region", "niche", "xor"}
    numbers = ["value", "low", "high", "p_corrected", "truth", "limit"]
    assert not gains[numbers].isna().any(axis=None)
    niche = gains.set_index("task").loc["niche"]
    assert (niche["verdict"], niche["method"], niche["truth"]) == ("found", "comm", 0.4)


def test_trifeature_decides_by_intervals_over_its_pairs(claims):
    found = on_trifeature(drawn(), claims)
    result = {claim: finding.verdict for claim, finding in found.items()}
    assert result == dict.fromkeys([COLLAPSE, CAPTURED, HIGHEST_ON_NICHES], SUPPORTED)
    near = on_trifeature(drawn(simclr=(0.86, 0.85, 0.65, 0.79)), claims)
    assert {finding.verdict for finding in near.values()} == {NOT_SUPPORTED}
    chance = on_trifeature(drawn(comm=(1, 0.99, 0.97, 0.505)), claims)
    assert chance[HIGHEST_ON_NICHES].verdict == NOT_SUPPORTED
    assert re.search(r"comm 0\.5[01]", chance[HIGHEST_ON_NICHES].evidence)


STARS = 3, 40, 2.0


def test_the_markdown_counts_tasks_and_names_what_is_simulated(claims):
    table = verdicts(
        {"lung": made(), "mine": made()}, {"lung": True, "mine": False}, ROLES, drawn(), claims
    )
    lines = markdown(table, STARS, claims, 0.8).splitlines()
    assert lines[0] == "| claim | lung (simulated: synergy) | mine | trifeature (simulated) |"
    assert lines[1] == "|---|---|---|---|"
    assert lines[2].endswith("| supported | supported | supported |")
    counted = "supported: 1 found, 1 rightly not found"
    row = f"| CoMM gains on complex niches | {counted} | {counted} | not tested |"
    assert row in lines


def test_the_markdown_explains_itself_and_has_the_numbers_of_tasks(claims):
    table = verdicts({"lung": made()}, {"lung": True}, ROLES, drawn(), claims)
    text = markdown(table, STARS, claims, 0.8)
    assert "a gain that this\n  study finds with a probability of 80%" in text
    assert "have a star in all tables: 3 of them, in 40 families of tests\n" in text
    assert "found, up to 2.0 families would be expected to have a star by chance." in text
    lines = text.splitlines()
    heading = lines.index("**CoMM gains on complex niches**")
    sentence = lines[heading + 2]
    assert re.match(
        r"- lung \(simulated: synergy\): supported: niche found, gain of comm 0\.070 "
        r"\(true 0\.400, limit 0\.\d{3}\); xor rightly not found, ", sentence
    )  # fmt: skip
    assert sentence.endswith(".")
    assert lines[heading + 3].startswith("- trifeature (simulated): not tested: the benchmark has")


@pytest.fixture
def args(tmp_path, monkeypatch):
    """A folder with tables of one data set."""
    tables = made()
    rows = tables.scores.assign(n=9, inner=0.5)
    folders = "sis", "information", "truth", "spectrum", "distance"
    for name in folders:
        (tmp_path / name).mkdir()
        getattr(tables, name).to_csv(tmp_path / name / "lung.csv", index=False)
    for name in ("scores/lung", "scaling/lung", "finetune", "trifeature"):
        (tmp_path / name).mkdir(parents=True)
    for method, own in rows.groupby("method"):
        own.to_csv(tmp_path / f"scores/lung/{method}.csv", index=False)
    arms = tables.scaling.assign(n=9, inner=0.5, pairs=100)
    tuned = arms["method"].isin(["finetuned", "prior"])
    arms[tuned].to_csv(tmp_path / "finetune/lung.csv", index=False)
    for method, own in arms[~tuned].groupby("method"):
        own.to_csv(tmp_path / f"scaling/lung/{method}.csv", index=False)
    drawn().to_csv(tmp_path / "trifeature/comm.csv", index=False)
    known = [*METHODS, "image", CONTROLS[0]]
    params = {
        "method": "comm", "datasets": ["lung"], "models": {name: {} for name in known},
        "claims": {
            "aligned": ["cca", "simclr"], "synergy_aware": "comm", "redundant": "simclr",
            "local": ["cell_type", "region"], "niches": ["niche", "xor"],
            "negative_controls": ["xor"], "zero": 0.01, "relevant": 0.3, "products": ["bilinear"],
        },
        "limits": {"power": 0.8},
        "scaling": {"datasets": ["lung"]},
    }  # fmt: skip
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(params, file)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels").mkdir()
    columns = "dataset,simulated,role,task,kind,classes,observations"
    (tmp_path / "labels/lung.csv").write_text(
        f"{columns}\nlung,True,synergy,region,classification,3,9\n"
    )
    places = [*folders, "scores", "scaling", "finetune", "trifeature", "labels"]
    tables.limits.to_csv(tmp_path / "limits.csv", index=False)
    outs = {"limits": tmp_path / "limits.csv", "out": tmp_path / "claims.csv"}
    outs |= {"summary": tmp_path / "claims.md"}
    return Args(**{name: tmp_path / name for name in places}, **outs)


def test_the_stage_reads_what_other_stages_write(args, claims):
    main(args)
    table = pd.read_csv(args.out, dtype=str, keep_default_na=False)
    assert set(table["dataset"]) == {"lung", "trifeature"}
    tables = made(methods=frozenset([*METHODS, "image", CONTROLS[0]]))
    expected = verdicts({"lung": tables}, {"lung": True}, ROLES, drawn(), claims)
    assert table["verdict"].tolist() == expected["verdict"].tolist()
    assert table["evidence"].tolist() == expected["evidence"].tolist()
    assert "| lung (simulated: synergy) |" in args.summary.read_text()
    assert "tables: 1 of them, in 8 families" in args.summary.read_text()
    first = args.out.read_bytes()
    main(args)
    assert args.out.read_bytes() == first


def test_a_missing_table_is_named(args):
    (args.spectrum / "lung.csv").unlink()
    with pytest.raises(DataError, match=r"spectrum/lung\.csv: no such table"):
        main(args)


def test_a_method_that_the_study_has_not_is_named(args):
    params = YAML(typ="safe").load(Path("params.yaml"))
    params["claims"]["redundant"] = "simclear"
    with Path("params.yaml").open("w") as file:
        YAML().dump(params, file)
    with pytest.raises(ConfigError, match=r"no method 'simclear' .did you mean 'simclr'"):
        main(args)


def test_what_is_remarked_of_a_data_set_stands_below_the_markdown(claims):
    table = verdicts({"mine": made()}, {"mine": False}, ROLES, drawn(), claims)
    remarks = table["dataset"].map({"mine": "blocks of a section"}).fillna("")
    lines = markdown(table.assign(remark=remarks), STARS, claims, 0.8).splitlines()
    index = lines.index("mine: blocks of a section")
    assert lines[index - 1] == lines[index + 1] == ""
