import shutil
from pathlib import Path

import pytest

from cell_synergy.core.errors import ConfigError
from slurm.profiles import Profiles

ROOT = Path(__file__).parents[2]
STAGES = ["embed@lung", "align@lung-comm", "align@lung-cca"]


@pytest.fixture
def site(tmp_path):
    """Return a function that writes a site's files and reads the profiles there."""
    (tmp_path / "slurm").mkdir()

    def read(tracked="", local=""):
        (tmp_path / "slurm/profiles.yaml").write_text(tracked)
        (tmp_path / "slurm/profiles.local.yaml").write_text(local)
        return Profiles(tmp_path, STAGES)

    return read


def test_an_instance_goes_over_its_stage_and_that_over_the_default(site):
    profiles = site(
        "default: {mem: 1G, time: '01:00:00', cpus-per-task: 1}\n"
        "align: {gpus: 1, mem: 2G, warning: 90}\nalign@lung-comm: {mem: 3G}\n"
    )
    common = ["--cpus-per-task=1", "--time=01:00:00"]
    assert sorted(profiles["embed@lung"].options()) == sorted(["--mem=1G", *common])
    more = ["--gpus=1", "--signal=B:USR1@90", *common]
    assert sorted(profiles["align@lung-cca"].options()) == sorted(["--mem=2G", *more])
    assert sorted(profiles["align@lung-comm"].options()) == sorted(["--mem=3G", *more])


def test_the_files_of_a_site_go_over_the_tracked_one(site, tmp_path, monkeypatch):
    named = tmp_path / "ours.yaml"
    named.write_text("default: {account: lab}\nalign: {modules: [cuda/12], setup: [ulimit -n 9]}\n")
    monkeypatch.setenv("CELL_SYNERGY_SLURM", str(named))
    profiles = site(
        "default: {mem: 1G, partition: cpu}\nalign: {gpus: 1}\n",
        "default: {partition: null, account: other}\nalign: {gpus: null, gres: 'gpu:a100:1'}\n",
    )
    options = ["--account=lab", "--gres=gpu:a100:1", "--mem=1G"]
    assert sorted(profiles["align@lung-cca"].options()) == options
    assert profiles["align@lung-cca"].modules == ("cuda/12",)
    assert profiles["align@lung-cca"].setup == ("ulimit -n 9",)
    assert profiles["embed@lung"].modules == ()


def test_a_time_without_quotes_stays_as_it_is_written(site):
    assert "--time=01:30:00" in site("default:\n  time: 01:30:00\n")["embed@lung"].options()


@pytest.mark.parametrize(
    ("local", "message"),
    [
        ("align: {tme: 3}", "align: unknown key 'tme' \\(did you mean 'time'"),
        ("align: {cpus_per_task: 3}", "did you mean 'cpus-per-task'"),
        ("algn: {}", "no stage 'algn' \\(did you mean 'align'"),
        ("align: 3", "align: expected `key: value` lines, not 3"),
        ("default: {restarts: -1}", "default.restarts: .* greater than or equal to 0"),
        ("default: {setup: ls}", "default.setup: .* valid tuple"),
        ("- a", "expected `section: {key: value}` lines"),
        ("a: [", "is not YAML"),
    ],
)
def test_wrong_profiles_are_refused_with_file_and_remedy(site, local, message):
    with pytest.raises(ConfigError, match=f"profiles.local.yaml.*{message}"):
        site(local=local)


def test_a_named_file_that_is_not_there_is_refused(site, monkeypatch):
    monkeypatch.setenv("CELL_SYNERGY_SLURM", "/no/such.yaml")
    with pytest.raises(ConfigError, match=r"CELL_SYNERGY_SLURM: there is no file /no/such\.yaml"):
        site()


def test_the_profiles_of_the_study_can_be_read(tmp_path):
    stages = [f"{name}@x" for name in ("embed", "align", "trifeature", "scaling", "finetune")]
    shutil.copytree(ROOT / "slurm", tmp_path / "slurm", ignore=shutil.ignore_patterns("*.local.*"))
    assert "--gpus=1" in Profiles(tmp_path, stages)["align@x"].options()
