import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from slurm import throwaway as throwaway_slurm


@pytest.fixture
def run_on(throwaway, run, tmp_path):  # noqa: ARG001 - it installs SLURM where that can be
    return lambda *words: run(tmp_path, "slurm.throwaway", *words)


@pytest.mark.slow
def test_a_command_finds_a_cluster_of_the_size_asked_for(run_on):
    asked = "sinfo -hN -o '%N %c %m %G'; srun -n1 --gpus=2 bash -c 'echo $CUDA_VISIBLE_DEVICES'"
    size = ("--nodes", "3", "--cpus", "2", "--memory", "700", "--gpus", "2")
    code, out, err = run_on(*size, "bash", "-c", asked)
    assert code == 0, err
    assert out.splitlines() == [f"n{number} 2 700 gpu:2" for number in (1, 2, 3)] + ["0,1"]


@pytest.mark.slow
def test_the_cluster_goes_with_the_command_and_its_jobs(run_on):
    code, out, _ = run_on("bash", "-c", "sbatch --wrap 'sleep 100' >&2; echo $SLURM_CONF; exit 7")
    assert code == 7
    folder = Path(out.strip()).parent
    assert not folder.exists()
    assert not processes(folder)


def processes(folder):
    """Return the processes that were started with the configuration in a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"SLURM_CONF={folder}/" in (place / "environ").read_text(errors="replace"):
                found.append(place.name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("while_it", ["starts", "runs"])
def test_a_closed_terminal_leaves_nothing(throwaway, begin, tmp_path, eventually, while_it):  # noqa: ARG001
    slow = tmp_path / "slurmctld"  # one that never answers, where the start is what is interrupted
    slow.write_text("#!/bin/sh\nexec sleep 100\n")
    slow.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}" if while_it == "starts" else os.environ["PATH"]
    told = "echo $SLURM_CONF > conf.new; mv conf.new conf; sleep 100"
    process = begin(
        tmp_path, "slurm.throwaway", "bash", "-c", told, PATH=path, TMPDIR=str(tmp_path)
    )
    made = lambda: list(tmp_path.glob("throwaway-slurm-*/slurm.conf"))  # noqa: E731
    assert eventually(made)
    (folder,) = (file.parent for file in made())
    if while_it == "runs":
        assert eventually((tmp_path / "conf").exists)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 129
    assert not folder.exists()
    assert not processes(folder)


@pytest.mark.slow
def test_an_interrupt_is_for_the_command(throwaway, begin, tmp_path, eventually):  # noqa: ARG001
    trap = "trap 'echo told; exit 3' INT; touch ready; while :; do sleep 0.1; done"
    process = begin(tmp_path, "slurm.throwaway", "bash", "-c", trap)
    assert eventually((tmp_path / "ready").exists)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (3, "told\n")


def test_without_slurm_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name, **_: None if name == "slurmd" else name)
    assert throwaway_slurm.main(["true"]) == 1
    said = capsys.readouterr().err
    assert said == (
        "error: there is no `slurmd` here: apt-get install slurmctld slurmd slurm-client\n"
    )


@pytest.mark.parametrize("words", [["--nodes", "0"], ["--gpus", "-1"]])
def test_a_cluster_of_nothing_is_refused(words, capsys):
    with pytest.raises(SystemExit):
        throwaway_slurm.main([*words, "true"])
    assert f"{' '.join(words)}: at least" in capsys.readouterr().err


def test_without_a_command_there_is_nothing_to_do(capsys):
    with pytest.raises(SystemExit):
        throwaway_slurm.main(["--cpus", "2"])
    assert "COMMAND: what is to run on the cluster?" in capsys.readouterr().err
