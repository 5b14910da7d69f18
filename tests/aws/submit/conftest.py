"""What is refused of a job, by each file's own fixture ``prepare``."""

import pytest

from airflow_nbjobs.core.errors import NotebookJobConfigError


@pytest.fixture
def refused(prepare):
    """The problems of a job that cannot run."""

    def run(**arguments):
        with pytest.raises(NotebookJobConfigError) as caught:
            prepare(**arguments)
        assert "d.t" in str(caught.value)
        assert "nothing was uploaded or billed" in str(caught.value)
        return list(caught.value.problems)

    return run
