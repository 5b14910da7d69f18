"""The known word that somebody may have meant."""

import pytest

from airflow_nbjobs.core.guesses import did_you_mean


@pytest.mark.parametrize(
    ("word", "options", "said"),
    [
        ("epoch", {}, "; did you mean 'Epochs'?"),
        ("EPOCHS", {}, "; did you mean 'Epochs'?"),
        ("xyz", {}, ""),
        ("row", {}, "; did you mean 'rows'?"),
        ("row", {"most": 2}, "; did you mean 'rows' or 'row_id'?"),
        ("row", {"most": 2, "cutoff": 0.8}, "; did you mean 'rows'?"),
        ("rw", {"cutoff": 0.9}, ""),
    ],
)
def test_the_nearest_known_words_are_named_as_they_are_written(word, options, said):
    assert did_you_mean(word, ["row_id", "Epochs", "rows"], **options) == said


def test_where_nothing_is_known_nothing_is_meant():
    assert did_you_mean("a", []) == ""
