"""What SLURM's commands print is read with whatever a site prints around it."""

import pytest
from dvc.exceptions import DvcException

from runner.plan import Step
from slurm import scheduler
from slurm.batch import Batch


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """Return a function that lets a command of SLURM print some text."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def make(command, text):
        (tmp_path / "said").mkdir(exist_ok=True)
        (tmp_path / "said" / command).write_text(text)
        (tmp_path / command).write_text(f'#!/bin/sh\ncat "{tmp_path}/said/{command}"\n')
        (tmp_path / command).chmod(0o755)

    return make


BANNER = "*** Welcome to Example, 3 nodes are down ***\n\nThis job is charged to lab\n"


@pytest.mark.parametrize(
    "text",
    [
        "1234\n", "1234;cluster1\n", f"{BANNER}1234\n", f"1234\n{BANNER}", f"{BANNER}  1234  \n",
        "Submitted batch job 1234\n", f"{BANNER}Submitted batch job 1234 on cluster one\n",
        "sbatch: 17 jobs left\n1234;c\n", "1234\n1234\n", "1234\r\n",
    ],
)  # fmt: skip
def test_the_number_of_a_job_is_found_among_what_a_site_says(answers, text):
    answers("sbatch", text)
    assert scheduler.submit("#!/bin/sh\n", []) == "1234"


def test_a_number_that_is_no_job_is_not_taken(answers):
    answers("sbatch", "Hours left:\n5000\n1234\n")
    answers("squeue", f"{BANNER}77|RUNNING|None\n1234|PENDING|Priority\n")
    assert scheduler.submit("#!/bin/sh\n", []) == "1234"
    answers("squeue", "1234_0|PENDING|Priority\n1234_1|PENDING|Priority\n")
    assert scheduler.submit("#!/bin/sh\n", []) == "1234"
    answers("squeue", "")
    with pytest.raises(DvcException, match="has no job number"):
        scheduler.submit("#!/bin/sh\n", ["--job-name=a"])


@pytest.mark.parametrize("text", ["", BANNER, "job 12 34\n", "-1\n", "12a\n"])
def test_an_answer_without_a_number_is_refused_with_how_to_run_it_once(answers, text):
    answers("sbatch", text)
    with pytest.raises(DvcException, match=r"sbatch answered .* `squeue --me --name=align@x`") as e:
        scheduler.submit("#!/bin/sh\n", ["--mem=1", "--job-name=align@x"])
    assert "scancel NUMBER" in str(e.value)


def test_states_are_read_among_what_a_site_says(answers):
    answers(
        "squeue", f"Notice | on Monday\n{BANNER}12|RUNNING|None\n13_4|PENDING|(Dep|end)\n\nbye\n"
    )
    assert scheduler.states() == {"12": ("RUNNING", "None"), "13_4": ("PENDING", "(Dep|end)")}


def test_a_greeting_alone_is_an_empty_queue_unless_there_are_jobs(answers):
    answers("squeue", BANNER)
    assert scheduler.states() == {}
    with pytest.raises(DvcException, match=r"squeue answered .*, which lists no jobs"):
        scheduler.states(expect_jobs=True)
    answers("squeue", "")
    assert scheduler.states(expect_jobs=True) == {}


def test_an_exit_code_is_found_among_what_a_site_says(answers):
    answers("scontrol", f"{BANNER}JobId=1 ExitCode=3:0 Restarts=0\n")
    assert scheduler.exit_code("1") == "exit code 3"
    answers("scontrol", BANNER)
    assert scheduler.exit_code("1") is None


def test_a_batch_knows_whether_it_submitted(tmp_path):
    batch = Batch(tmp_path, "a" * 40, [])
    assert not batch.has_jobs()
    batch.prepare(Step("x", ()))
    assert not batch.has_jobs()
    batch.record_job("x", "12")
    assert batch.has_jobs()
