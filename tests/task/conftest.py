"""The tasks of most tests in this folder: on the services' fakes."""

import pytest
from operator_tasks import Tasks


@pytest.fixture
def task(tmp_path):
    return Tasks(tmp_path)


@pytest.fixture
def clients(task):
    return task.clients
