"""Run the out-of-date part of the pipeline as SLURM jobs, one per stage.

    python -m slurm.submit [TARGET ...] [-S NAME=VALUE ...] [--jobs N] [--no-wait] [--dry]

A job runs in a temporary clone of HEAD and shares nothing but DVC's cache. Its results are then
restored here. With -S they become an experiment (`dvc exp show`) instead. Resources are set in
slurm/profiles.yaml. Stages with `meta: {first: true}` in dvc.yaml run here, before the rest is
planned, also with --dry, because their outputs determine what is out of date. They write nothing
but their own outputs; no other stage is run on this machine.
"""

import argparse
import logging
import os
import shlex
import sys

from dvc.exceptions import DvcException
from dvc.repo import Repo

from cell_synergy.core.errors import ConfigError
from runner.console import INTERRUPTED, available_cores, describe, echo, positive_int
from runner.executor import plan_after_first
from runner.hook import run_check
from runner.lockfile import sort_entries
from runner.plan import Plan, base_name
from runner.restore import restore
from slurm import scheduler
from slurm.batch import Batch, remove_old
from slurm.profiles import Profiles
from slurm.script import scratch_folder
from slurm.submission import Submission, groups
from slurm.variant import make_clone, save_experiment
from slurm.workspace import inspect


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m slurm.submit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("targets", nargs="*", metavar="TARGET", help="stages; none means all")
    add("-S", "--set-param", action="append", default=[], metavar="NAME=VALUE", dest="overrides",
        help="a variant, submitted as an experiment")  # fmt: skip
    add("--jobs", type=positive_int, help="jobs in flight at most (default: all)")
    add("--no-wait", action="store_true", help="submit and return; the same command joins")
    add("--dry", action="store_true", help="print what would be submitted, and submit nothing")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    """Submit, watch and restore as the arguments require; return the exit code."""
    os.chdir(Repo.find_root())
    if not args.overrides:
        run_check()  # may add to params.yaml what is named there, which has to be committed first
    workspace = inspect()
    batch = Batch(workspace.root, workspace.rev, args.overrides)
    with batch.locked():
        if args.overrides:
            make_clone(batch, workspace)
        os.chdir(batch.workspace)
        plan = plan_after_first(args.targets, available_cores())
        _require_restorable(plan)
        profiles = Profiles(workspace.root, plan.order)
        if args.dry:
            _print_plan(plan, profiles)
            if not plan.steps:
                echo("nothing to submit: all stages are up to date")
            return 0
        scratch = scratch_folder(workspace.cache)
        scratch.mkdir(exist_ok=True)
        (scratch / ".gitignore").write_text("*\n")
        states = scheduler.states(expect_jobs=batch.has_jobs())
        active = {job for job, (state, _) in states.items() if state not in scheduler.FINAL}
        remove_old(batch, active)
        remaining = restore(plan)
        batch.copy_lock(batch.workspace)
        submission = Submission(batch, workspace, profiles, args.jobs)
        submission.join(remaining, states)
        submission.submit()
    if not remaining:
        echo("nothing to submit: all stages are up to date")
        return _finish(plan, batch, submission, args.targets)
    if args.no_wait:
        echo(
            f"{len(submission.in_flight)} jobs in flight, {len(submission.pending)} not submitted; "
            "the same command submits what is left and restores the results"
        )
        return 0
    if submission.wait():
        jobs = " ".join(str(batch.job(name)) for name in submission.in_flight)
        echo(f"jobs are left running: the same command joins them, `scancel {jobs}` ends them")
        return INTERRUPTED
    return _finish(plan, batch, submission, args.targets)


def _finish(plan: Plan, batch: Batch, submission: Submission, targets: list[str]) -> int:
    """Restore the results, print a summary, return the exit code."""
    with batch.locked():
        missing = {step.name for step in restore(plan)}.intersection(submission.done)
        sort_entries(plan.root, plan.order)
        if submission.table.rows:
            echo(submission.table.counts())
        if submission.failed:
            echo(f"failed: {', '.join(submission.failed)}")
            if submission.skipped:
                echo(f"cancelled, as they wait for these: {', '.join(submission.skipped)}")
            echo("the same command submits what is missing")
        if missing:
            echo(
                f"done, but not for what the workspace now holds: {', '.join(sorted(missing))}; "
                "undo what was changed since, and the same command brings them"
            )
        if submission.failed or missing:
            return 1
        if batch.overrides:
            name = save_experiment(batch, targets)
            echo(f"experiment {name}: `dvc exp show` lists it, `dvc exp apply {name}` brings it")
    return 0


def _require_restorable(plan: Plan) -> None:
    """Refuse a plan with stages whose results could not come back from a job."""
    for step in plan.steps:
        if step.uncached:
            raise DvcException(
                f"{step.name} cannot be a job, as its result could not come back: {step.uncached}"
            )


def _print_plan(plan: Plan, profiles: Profiles) -> None:
    """Print what would be submitted."""
    for steps, profile in groups(plan.steps, profiles):
        for step in steps:
            array = [f"array of {len(steps)}"] if len(steps) > 1 else []
            after = [f"after {', '.join(_abbreviate(step.after))}"] if step.after else []
            print("  ".join([step.name, shlex.join(profile.options()), *array, *after]))


def _abbreviate(names: tuple[str, ...]) -> list[str]:
    """Return the names, with several instances of one stage as `align@... (15)`."""
    instances: dict[str, list[str]] = {}
    for name in names:
        instances.setdefault(base_name(name), []).append(name)
    return [f"{k}@... ({len(v)})" if len(v) > 1 else v[0] for k, v in instances.items()]


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parse_args(argv)
    logging.getLogger("dvc").setLevel(logging.WARNING)
    try:
        return run(args)
    except (DvcException, ConfigError) as error:
        echo(f"error: {describe(error)}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
