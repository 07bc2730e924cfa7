"""Run the out-of-date part of the pipeline as SLURM jobs, one per stage.

    python -m slurm.submit [TARGET ...] [-S NAME=VALUE ...] [--jobs N] [--no-wait] [--dry]

A job works in a throw-away clone of HEAD and shares nothing but DVC's cache. What the jobs computed
is then restored here; nothing is executed. With -S it becomes an experiment (`dvc exp show`)
instead. Resources stand in slurm/profiles.yaml.
"""

import argparse
import logging
import os
import shlex
import sys

from dvc.exceptions import DvcException
from dvc.repo import Repo

from cell_synergy.core.errors import ConfigError
from slurm import scheduler
from slurm.batch import Batch, sweep
from slurm.console import explained, say
from slurm.lockfile import sort
from slurm.plan import Plan, check_study, make_plan
from slurm.profiles import Profiles, base
from slurm.restore import restore
from slurm.script import scratch_of
from slurm.submission import Submission, groups
from slurm.variant import make_clone, save_experiment
from slurm.workspace import inspect

STOPPED = 130


def arguments(words: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m slurm.submit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("targets", nargs="*", metavar="TARGET", help="stages; none means all")
    add("-S", "--set-param", action="append", default=[], metavar="NAME=VALUE", dest="changes",
        help="a variant, submitted as an experiment")  # fmt: skip
    add("--jobs", type=int, help="jobs in flight at most (default: all)")
    add("--no-wait", action="store_true", help="submit and return; the same command joins")
    add("--dry", action="store_true", help="only say what would be submitted")
    found = parser.parse_args(words)
    if found.jobs is not None and found.jobs < 1:
        parser.error(f"--jobs {found.jobs}: at least 1")
    return found


def run(given: argparse.Namespace) -> int:
    """Do what the command line says; return the exit code."""
    os.chdir(Repo.find_root())
    workspace = inspect()
    batch = Batch(workspace.root, workspace.rev, given.changes)
    with batch.locked():
        if given.changes:
            make_clone(batch, workspace)
        os.chdir(batch.site)
        check_study()
        plan = make_plan(given.targets)
        refuse_what_is_lost(plan)
        profiles = Profiles(workspace.root, plan.order)
        if given.dry:
            show(plan, profiles)
            if not plan.steps:
                say("nothing to submit: all stages are up to date")
            return 0
        scratch_of(workspace.cache).mkdir(exist_ok=True)
        (scratch_of(workspace.cache) / ".gitignore").write_text("*\n")
        states = scheduler.states(some=batch.noted())
        sweep(batch, {job for job, (state, _) in states.items() if state not in scheduler.FINAL})
        left = restore(plan)
        batch.keep_lock(batch.site)
        submission = Submission(batch, workspace, profiles, given.jobs)
        submission.join(left, states)
        submission.submit()
    if not left:
        say("nothing to submit: all stages are up to date")
        return finish(plan, batch, submission, given.targets)
    if given.no_wait:
        say(f"{len(submission.flying)} jobs in flight, {len(submission.held)} not submitted; the "
            f"same command submits what is left and brings the results")  # fmt: skip
        return 0
    if submission.wait():
        jobs = " ".join(str(batch.job(name)) for name in submission.flying)
        say(f"jobs are left running: the same command joins them, `scancel {jobs}` ends them")
        return STOPPED
    return finish(plan, batch, submission, given.targets)


def finish(plan: Plan, batch: Batch, submission: Submission, targets: list[str]) -> int:
    """Bring the results, say how it ended, return the exit code."""
    with batch.locked():
        missing = {step.name for step in restore(plan)}.intersection(submission.done)
        sort(plan.root, plan.order)
        if submission.table.rows:
            say(submission.table.counts())
        if submission.failed:
            say(f"failed: {', '.join(submission.failed)}")
            if submission.skipped:
                say(f"cancelled, as they wait for these: {', '.join(submission.skipped)}")
            say("the same command submits what is missing")
        if missing:
            say(f"done, but not for what the workspace now holds: {', '.join(sorted(missing))}; "
                f"undo what was changed since, and the same command brings them")  # fmt: skip
        if submission.failed or missing:
            return 1
        if batch.changes:
            name = save_experiment(batch, targets)
            say(f"experiment {name}: `dvc exp show` lists it, `dvc exp apply {name}` brings it")
    return 0


def refuse_what_is_lost(plan: Plan) -> None:
    """Refuse a plan with stages whose results could not come back from a job."""
    for step in plan.steps:
        if step.lost:
            raise DvcException(
                f"{step.name} cannot be a job, as its result could not come back: {step.lost}"
            )


def show(plan: Plan, profiles: Profiles) -> None:
    """Print what would be submitted."""
    for steps, profile in groups(plan.steps, profiles):
        for step in steps:
            array = [f"array of {len(steps)}"] if len(steps) > 1 else []
            after = [f"after {', '.join(counted(step.after))}"] if step.after else []
            print("  ".join([step.name, shlex.join(profile.options()), *array, *after]))


def counted(names: tuple[str, ...]) -> list[str]:
    """Return the names, several of one stage as `align@... (15)`."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(base(name), []).append(name)
    return [f"{k}@... ({len(v)})" if len(v) > 1 else v[0] for k, v in found.items()]


def main(words: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = arguments(words)
    logging.getLogger("dvc").setLevel(logging.WARNING)
    try:
        return run(given)
    except (DvcException, ConfigError) as error:
        say(f"error: {explained(error)}")
        return 1
    except KeyboardInterrupt:
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
