"""The bash script of a job, and the temporary clone in which the job runs."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from slurm.batch import Batch
from slurm.profiles import Profile

# Clones commit {rev} of {root} into the folder $clone; $site is DVC's site cache for that clone.
CLONE = """
git clone -q --shared --no-checkout {root} "$clone"
cd "$clone"
git checkout -q --detach {rev}
[ ! -e {patch} ] || git apply {patch}
[ ! -e {lock} ] || cp {lock} dvc.lock
cat > .dvc/config.local <<END
[cache]
    dir = {cache}
    type = "reflink,hardlink,symlink,copy"
[core]
    site_cache_dir = $site
END
"""

JOB = """#!/bin/bash
set -eo pipefail
stages=({stages})
stage=${{stages[${{SLURM_ARRAY_TASK_ID:-0}}]}}
folder={folders}/${{stage//\\//_}}
rm -f "$folder/exit"
restarted=${{SLURM_RESTART_COUNT:-0}}
late= child= requeued= work= timer=
finish() {{
  code=$?
  if [ -z "$requeued" ]; then
    echo $code > "$folder/exit.new"
    mv "$folder/exit.new" "$folder/exit"
    echo "$stage: exit code $code, $SECONDS s with clone and inputs"
  fi
  [ -z "$timer" ] || kill "$timer" 2> /dev/null
  rm -rf "$work"
}}
# The first interrupt lets an epoch end, the second, after half of the warning, does not.
interrupt() {{
  kill -INT -- "-$child"
  (sleep {half}; kill -INT -- "-$child") 2> /dev/null &
  timer=$!
}}
trap finish EXIT
trap 'late=yes; [ -z "$child" ] || interrupt' USR1  # the time limit is near
echo "$stage: job $SLURM_JOB_ID on $(hostname), restarted $restarted times"
if [ "$restarted" -gt {restarts} ]; then
  echo "error: restarted too often, \\`restarts\\` of its profile is {restarts}" >&2
  exit 1
fi
{setup}
export PATH={binaries}:$PATH CELL_SYNERGY_SCRATCH={scratch}
work=$(mktemp -d "${{TMPDIR:-/tmp}}/cell-synergy-job.XXXXXX")
clone=$work/clone site=$work/site
{clone}
export PYTHONPATH=$clone/src  # an editable install would import the workspace's
set -m  # a process group of its own, which interrupts reach
python -m slurm.job "$folder" "$stage" &
child=$!
set +m
[ -z "$late" ] || interrupt
while code=0; wait "$child" || code=$?; kill -0 "$child" 2> /dev/null; do :; done
if [ -n "$late" ] && [ "$code" -ne 0 ]; then
  if [ "$restarted" -ge {restarts} ]; then
    echo "error: out of time; raise \\`time\\` or \\`restarts\\` ({restarts}) of its profile" >&2
  else
    echo "out of time: queued again"
    requeued=yes
    scontrol requeue "$SLURM_JOB_ID"
  fi
fi
exit "$code"
"""


def clone_commands(batch: Batch, cache: Path) -> str:
    """Return shell commands that clone the code of a batch, with the parameters of its variant.

    The shell variables `clone` and `site` must name the folders of the clone and of its site cache.

    Parameters
    ----------
    batch
        Commit and overrides.
    cache
        Folder of DVC's cache, which the clone uses.
    """
    return CLONE.format(
        root=quote(batch.root),
        rev=batch.rev,
        patch=quote(batch.patch),
        lock=quote(batch.lock),
        cache=cache,
    )


def job_script(batch: Batch, cache: Path, stages: Sequence[str], profile: Profile) -> str:
    """Return the bash script of a job, or of an array of jobs if there are several stages.

    Parameters
    ----------
    batch
        Commit and overrides, and folder in which jobs are recorded.
    cache
        Folder of DVC's cache.
    stages
        Stages, one per job of the array.
    profile
        Resources of each job.
    """
    modules = [shlex.join(["module", "load", name]) for name in profile.modules]
    return JOB.format(
        stages=shlex.join(stages),
        folders=quote(batch.folder / "stages"),
        restarts=profile.restarts,
        half=(profile.warning or 0) // 2,
        setup="\n".join([*modules, *profile.setup]),
        binaries=quote(Path(sys.executable).parent),
        scratch=f"${{CELL_SYNERGY_SCRATCH:-{quote(scratch_folder(cache))}}}",
        clone=clone_commands(batch, cache),
    )


def scratch_folder(cache: Path) -> Path:
    """Return the folder for checkpoints; it is beside the cache, which all nodes can read."""
    return cache.with_name(f"{cache.name}-scratch")


def quote(path: Path) -> str:
    """Return a path, quoted for the shell."""
    return shlex.quote(str(path))
