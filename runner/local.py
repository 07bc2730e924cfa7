"""Run the out-of-date part of the pipeline on this machine, several stages at a time.

    python -m runner.local [TARGET ...] [--jobs N] [--dry]

A TARGET is a stage of dvc.yaml, FOLDER/dvc.yaml:STAGE or a whole FOLDER/dvc.yaml, with what each
depends on; without targets all stages of the root dvc.yaml are meant. A stage starts when all
stages that it depends on are done; stages whose sources few other stages share come last. Each
dvc.lock gets the bytes that a serial `dvc repro` gives it.

Stages with `meta: {first: true}` in dvc.yaml run before the rest is planned, because their outputs
determine what is out of date; where such a stage would run, --dry cannot list the rest. If their
inputs change during the run, no further stage starts until the rest is planned again, since it
would run other code than is recorded. A stage fails if its inputs or parameters change while it
runs; the same command runs it again.
"""

import argparse
import os
import sys

from dvc.exceptions import DvcException
from dvc.repo import Repo

from runner.console import INTERRUPTED, available_cores, describe, echo, positive_int
from runner.executor import Executor, plan_after_first
from runner.hook import run_check
from runner.lockfile import sort_entries
from runner.plan import Plan, make_plan

_NOTHING = "nothing to do: all stages are up to date"


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.local",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cores = available_cores()
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="stages; none means all")
    parser.add_argument(
        "--jobs", type=positive_int, default=cores, help=f"at a time (default: {cores})"
    )
    parser.add_argument("--dry", action="store_true", help="print what would run, and run no more")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parse_args(argv)
    try:
        os.chdir(Repo.find_root())
        run_check()
        code = _run(args.targets, args.jobs, dry=args.dry)
    except DvcException as error:
        echo(f"error: {describe(error)}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _run(targets: list[str], jobs: int, *, dry: bool) -> int:
    """Plan and run, again whenever the code changes meanwhile; return the exit code.

    Parameters
    ----------
    targets, jobs
        Stages, and the maximal number that run at the same time.
    dry
        Whether to print the plan instead, and to write and run nothing.
    """
    while True:
        plan = make_plan(targets) if dry else plan_after_first(targets, jobs)
        if not plan.steps:
            echo(_NOTHING)
        if dry:
            return _print(plan)
        executor = Executor(plan, jobs)
        code = executor.run() if plan.steps else 0
        sort_entries(plan.root, plan.order)
        if code or not executor.outdated:
            return code
        echo("files that the plan rests on have changed meanwhile: planning anew")


def _print(plan: Plan) -> int:
    """Print what would run; return the exit code."""
    for step in plan.steps:
        print(step.name, *(["after", ", ".join(step.after)] if step.after else []))
    if plan.preliminary:
        names = " ".join(step.name for step in plan.steps)
        echo(f"what else would run depends on what this gives: `python -m runner.local {names}`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
