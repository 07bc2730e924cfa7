from slurm.console import tail


def test_the_last_lines_are_shown_and_of_a_progress_bar_the_last_state(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"%d\n" % i for i in range(20)) + b"bar 1%\rbar 2%\r\nerror: \xff\n")
    lines = tail(log).splitlines()
    assert lines[-3:] == ["    19", "    bar 2%", "    error: \N{REPLACEMENT CHARACTER}"]
    assert len(lines) == 15


def test_a_job_that_wrote_no_log_has_none(tmp_path):
    assert tail(tmp_path / "log") == "    (no log)"
