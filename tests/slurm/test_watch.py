from slurm.watch import Table


def filled(*states):
    table = Table()
    for name, state in zip("abcdef", states, strict=False):
        table.set(name, state, "7")
    return table


def test_failed_and_running_jobs_come_first():
    table = filled("done", "not submitted", "PENDING", "RUNNING", "FAILED")
    lines = table.lines(80, 20)
    assert [line.split()[0] for line in lines[:-1]] == ["e", "d", "c", "b", "a"]
    assert lines[-1].startswith("1/5 done, 1 running, 1 FAILED, 0:00:0")


def test_the_table_fits_the_screen():
    table = filled("done", "RUNNING", "done", "done")
    table.set("b", "RUNNING", reason="x" * 200)
    lines = table.lines(30, 2)
    assert max(map(len, lines)) <= 30
    assert [line.split()[0] for line in lines[:2]] == ["b", "a"]
    assert lines[2] == "... and 2 more"


def test_without_a_terminal_each_change_is_one_line(capsys):
    table = filled("PENDING", "PENDING")
    table.set("a", "PENDING", reason="Priority")
    table.set("a", "PENDING", reason="PartitionTimeLimit")
    table.set("a", "RUNNING")
    table.draw()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["a", "b", "a", "a"]
    assert lines[2].startswith("PENDING  a  job 7  PartitionTimeLimit  [")
    assert lines[-1].startswith("RUNNING  a  job 7  [0/2 done, 1 running")


def test_in_a_terminal_the_table_is_drawn_over_the_last_one(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "24")
    table = Table()
    table.live = True
    for name in "ab":
        table.set(name, "PENDING", "7")
    table.draw()
    assert len(capsys.readouterr().err.splitlines()) == 3
    table.set("b", "RUNNING")
    table.draw()
    assert capsys.readouterr().err.startswith("\x1b[3A\x1b[Jb  RUNNING")
