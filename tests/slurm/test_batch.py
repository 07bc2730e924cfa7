import fcntl
import os
import time

from slurm.batch import RETENTION, Batch, remove_old


def made(root, rev, job, age):
    """Return the folder of a batch that was looked at so many seconds ago."""
    batch = Batch(root, rev * 12, [])
    with batch.locked():
        batch.stage_folder("a").mkdir(parents=True)
        (batch.stage_folder("a") / "job").write_text(job)
    then = time.time() - age
    os.utime(batch.folder / "lock", (then, then))
    return batch


def test_old_batches_go_but_for_those_with_jobs_in_flight(tmp_path):
    own = made(tmp_path, "a", "1", 2 * RETENTION)
    old = made(tmp_path, "b", "2_0", RETENTION + 60)
    flying = made(tmp_path, "c", "3", RETENTION + 60)
    young = made(tmp_path, "d", "4", RETENTION - 60)
    held = made(tmp_path, "e", "5", RETENTION + 60)
    again = made(tmp_path, "f", "6", RETENTION + 60)
    with again.locked():
        pass
    with (held.folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_old(own, {"3"})
    every = (own, old, flying, young, held, again)
    assert {each.rev[0] for each in every if each.folder.exists()} == set("acdef")
