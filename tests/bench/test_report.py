"""The table of the benchmarks must not pass for one that measured nothing."""

from support.report import Row, exit_code, table

MET = Row("import", "ms", 1.234, "amazon's", 160.0, "≤5 ms")
MISSED = Row("parse", "CPU s", 0.353, "EmptyOperator", 0.155, "≤1.3x", is_met=False)


def test_a_run_passes_if_every_goal_is_met():
    assert exit_code([MET, Row("no goal", "s", 1.0)]) == 0


def test_a_missed_goal_fails_the_run():
    assert exit_code([MET, MISSED]) == 1


def test_a_run_without_figures_fails():
    assert exit_code([]) == 1


def test_the_table_says_ratio_and_verdict():
    head, _, met, missed = table([MET, MISSED]).splitlines()
    assert head.split() == ["what", "ours", "beside", "ratio", "goal", "met?"]
    assert met.split()[-1] == "yes"
    assert "0.00771" in met
    assert missed.split()[-1] == "NO"
    assert "2.28" in missed
