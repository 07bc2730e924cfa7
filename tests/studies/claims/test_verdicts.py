"""The table of claims, Trifeature's part of it, and the stage that writes it."""

from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.studies.claims.evidence import NOT_SUPPORTED, SUPPORTED
from cell_synergy.studies.claims.rules import CAPTURED, COLLAPSE, HIGHEST, RULES
from cell_synergy.studies.claims.verdicts import COLUMNS, markdown, on_trifeature, verdicts
from stages.claims import Args, main

from .conftest import CONTROLS, METHODS, made

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
    table = verdicts(result, {"lung": True, "mine": False}, drawn(), claims)
    assert list(table.columns) == COLUMNS
    assert len(table) == 3 * len(RULES)
    assert not table.isna().any(axis=None)
    assert table.set_index("dataset")["simulated"].to_dict() == {
        "lung": True, "mine": False, "trifeature": True,
    }  # fmt: skip


def test_trifeature_decides_by_intervals_over_its_pairs(claims):
    result = {claim: verdict for claim, (verdict, _) in on_trifeature(drawn(), claims).items()}
    assert result == dict.fromkeys([COLLAPSE, CAPTURED, HIGHEST], SUPPORTED)
    near = on_trifeature(drawn(simclr=(0.86, 0.85, 0.65, 0.79)), claims)
    assert {verdict for verdict, _ in near.values()} == {NOT_SUPPORTED}
    chance = on_trifeature(drawn(comm=(1, 0.99, 0.97, 0.505)), claims)
    assert chance[HIGHEST][0] == NOT_SUPPORTED
    assert "comm 0.51" in chance[HIGHEST][1] or "comm 0.50" in chance[HIGHEST][1]


def test_the_markdown_names_what_is_simulated(claims):
    table = verdicts(
        {"lung": made(), "mine": made()}, {"lung": True, "mine": False}, drawn(), claims
    )
    lines = markdown(table).splitlines()
    assert lines[0] == "| claim | lung (simulated) | mine | trifeature (simulated) |"
    assert lines[1] == "|---|---|---|---|"
    assert len(lines) == 2 + len(RULES)
    assert lines[2].endswith("| supported | supported | supported |")


@pytest.fixture
def args(tmp_path, monkeypatch):
    """A folder with tables of one data set."""
    tables = made()
    rows = tables.scores.assign(dataset="lung", n=9, inner=0.5)
    folders = "sis", "information", "spectrum", "distance"
    for name in folders:
        (tmp_path / name).mkdir()
        getattr(tables, name).assign(dataset="lung").to_csv(
            tmp_path / name / "lung.csv", index=False
        )
    for name in ("scores/lung", "scaling/lung", "finetune", "trifeature"):
        (tmp_path / name).mkdir(parents=True)
    for method, own in rows.groupby("method"):
        own.to_csv(tmp_path / f"scores/lung/{method}.csv", index=False)
    arms = tables.scaling.assign(dataset="lung", n=9, inner=0.5, pairs=100)
    tuned = arms["method"].isin(["finetuned", "frozen"])
    arms[tuned].to_csv(tmp_path / "finetune/lung.csv", index=False)
    for method, own in arms[~tuned].groupby("method"):
        own.to_csv(tmp_path / f"scaling/lung/{method}.csv", index=False)
    drawn().to_csv(tmp_path / "trifeature/comm.csv", index=False)
    known = [*METHODS, "image", CONTROLS[0]]
    params = {
        "method": "comm", "datasets": ["lung"], "models": {name: {} for name in known},
        "claims": {
            "aligned": ["cca", "simclr"], "synergy_aware": "comm", "redundant": "simclr",
            "local": ["cell_type", "region"], "niches": ["niche"],
        },
    }  # fmt: skip
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(params, file)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels").mkdir()
    columns = "dataset,simulated,task,kind,classes,observations"
    (tmp_path / "labels/lung.csv").write_text(f"{columns}\nlung,True,region,classification,3,9\n")
    places = [*folders, "scores", "scaling", "finetune", "trifeature", "labels"]
    outs = {"out": tmp_path / "claims.csv", "summary": tmp_path / "claims.md"}
    return Args(**{name: tmp_path / name for name in places}, **outs)


def test_the_stage_reads_what_other_stages_write(args):
    main(args)
    table = pd.read_csv(args.out)
    assert set(table["dataset"]) == {"lung", "trifeature"}
    assert set(table.loc[table["dataset"] == "lung", "verdict"]) == {SUPPORTED}
    assert table["simulated"].all()
    assert args.summary.read_text() == markdown(table)
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
    table = verdicts({"mine": made()}, {"mine": False}, drawn(), claims)
    remarks = table["dataset"].map({"mine": "blocks of a section"}).fillna("")
    lines = markdown(table.assign(remark=remarks)).splitlines()
    assert lines[-2:] == ["", "mine: blocks of a section"]
    assert len(lines) == 2 + len(RULES) + 2
