"""A job that runs out of time on a real SLURM."""

import pytest

from tests.slurm.conftest import ran, stage

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]
EPOCH = """
import time
from cell_synergy.core.signals import defer_interrupt
with defer_interrupt():
    time.sleep(90)
"""


def test_out_of_time_a_job_ends_its_command_and_continues(project, run, shared):
    aside = "test -e $CELL_SYNERGY_SCRATCH/NAME || { touch $CELL_SYNERGY_SCRATCH/NAME; sleep 90; };"
    where = project(
        "".join(stage(n, shared, before=aside.replace("NAME", n)) for n in ("resumes", "stops")),
        profiles="resumes: {time: 1, warning: 55, restarts: 1}\nstops: {time: 1, warning: 55}\n",
    )
    code, _, err = run(where, "slurm.submit")
    assert code == 1
    assert ran(shared) == ["resumes", "resumes", "stops"]
    assert (where / "out/resumes").read_text() == "1\n"
    assert "error: out of time; raise `time` or `restarts` (0) of its profile" in err
    assert "failed: stops\n" in err


def test_an_epoch_that_is_longer_than_half_the_warning_is_not_waited_for(project, run, shared):
    (shared / "epoch.py").write_text(EPOCH)
    long = f"test -e {shared}/on || {{ touch {shared}/on; python {shared}/epoch.py; exit 3; }};"
    profiles = "a: {time: 1, warning: 40, restarts: 1}\n"
    where = project(stage("a", shared, before=long), profiles=profiles)
    code, _, err = run(where, "slurm.submit")
    assert code == 0, err
    assert ran(shared) == ["a", "a"]
    log = next(where.glob(".dvc/tmp/slurm/*/stages/a/log")).read_text()
    assert "KeyboardInterrupt" in log.partition("out of time: queued again")[0]
