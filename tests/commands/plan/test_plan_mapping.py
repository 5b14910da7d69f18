"""Which indexes of a mapped task ``nbjobs plan`` looks at, and how many jobs it says there are."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, task, task_group

from airflow_nbjobs.commands.plan import mapping
from airflow_nbjobs.commands.plan.mapping import Index, indexes_of, label_of
from airflow_nbjobs.decorators import sagemaker_notebook_job
from airflow_nbjobs.operators import SageMakerNotebookJobOperator as Job
from airflow_nbjobs.task_groups import NotebookTaskGroup


@pytest.fixture
def dag():
    with DAG("d", schedule=None) as dag:
        yield dag


@task
def many():
    return [1]


def partial(**given):
    return Job.partial(task_id="t", input_notebook="nb.ipynb", **given)


def found(*arguments, **expanded):
    """Return the indexes of a task that is mapped over this."""
    return indexes_of(partial().expand_kwargs(*arguments) if arguments else partial().expand(**expanded))


def looked_at(indexes):
    return [(each.map_index, each.given) for each in indexes.looked_at]


@pytest.mark.usefixtures("dag")
def test_a_task_that_is_not_mapped_is_one_job():
    indexes = indexes_of(Job(task_id="t", input_notebook="nb.ipynb"))
    assert indexes.looked_at == [Index(None, {}, is_mapped=False)]
    assert (indexes.count, indexes.varying, indexes.left_out) == (1, (), 0)


@pytest.mark.usefixtures("dag")
@pytest.mark.parametrize(
    ("n", "m", "count"), [([1, 2], [3, 4, 5], 6), ([1], [2], 1), ([1, 2], [], 0), (None, [1, 2], None), (None, [], 0)]
)
def test_a_task_of_a_mapped_group_has_a_job_for_each_of_its_indexes(n, m, count):
    @task_group
    def group(n, m):
        tasks.append(Job(task_id="t", input_notebook="nb.ipynb"))

    tasks = []
    group.expand(n=many() if n is None else n, m=m)
    indexes = indexes_of(tasks[0])
    assert indexes.count == count
    assert indexes.looked_at == ([] if count == 0 else [Index(None, {}, is_mapped=True)])


@pytest.mark.usefixtures("dag")
def test_every_combination_is_an_index_and_the_last_argument_changes_fastest():
    indexes = found(volume_size=[10, 20], instance_type=["a", "b"])
    combined = [(10, "a"), (10, "b"), (20, "a"), (20, "b")]
    assert looked_at(indexes) == [
        (number, {"volume_size": size, "instance_type": machine}) for number, (size, machine) in enumerate(combined)
    ]
    assert (indexes.count, indexes.varying, indexes.left_out) == (4, (), 0)
    assert all(each.is_mapped and each.whole is None for each in indexes.looked_at)


@pytest.mark.usefixtures("dag")
def test_a_dict_is_mapped_over_its_items():
    assert looked_at(found(tags={"a": 1, "b": 2})) == [(0, {"tags": ("a", 1)}), (1, {"tags": ("b", 2)})]


@pytest.mark.usefixtures("dag")
def test_the_dicts_of_expand_kwargs_are_the_indexes_and_what_a_run_gives_is_one_as_a_whole():
    given = many()
    indexes = found([{"volume_size": 10}, given])
    assert looked_at(indexes) == [(0, {"volume_size": 10}), (1, {})]
    assert [each.whole for each in indexes.looked_at] == [None, given]
    assert (indexes.count, indexes.left_out) == (2, 0)

    (index,) = (indexes := indexes_of(Job.partial(task_id="u", input_notebook="x").expand_kwargs(given))).looked_at
    assert (index.map_index, index.whole, indexes.count, indexes.left_out) == (None, given, None, 0)


@pytest.mark.usefixtures("dag")
@pytest.mark.parametrize("expanded", [{"volume_size": []}, {"volume_size": [1], "tags": {}}])
def test_nothing_to_map_over_is_no_job(expanded):
    assert found(**expanded) == mapping.Indexes([], 0)


@pytest.mark.usefixtures("dag")
def test_values_of_the_file_beside_what_a_run_gives_are_each_looked_at():
    given = many()
    indexes = found(role=given, volume_size=[10, 20], instance_type=["a"])
    assert looked_at(indexes) == [
        (None, {"role": given, "volume_size": size, "instance_type": "a"}) for size in (10, 20)
    ]
    assert (indexes.count, indexes.varying, indexes.left_out) == (None, ("volume_size",), 0)
    assert [label_of(index, indexes.varying) for index in indexes.looked_at] == ["volume_size=10", "volume_size=20"]
    assert label_of(Index(None, {"a": 1, "b": "x", "c": 3}), ("a", "b")) == "a=1, b='x'"


@pytest.mark.usefixtures("dag")
def test_what_a_group_merges_into_is_left_empty_and_said_to_come_from_a_run():
    with NotebookTaskGroup("g", parameters={"name": "x"}):
        mapped = partial().expand(parameters=many(), volume_size=[10])
    (index,) = indexes_of(mapped).looked_at
    assert (index.given, index.merged) == ({"parameters": {}, "volume_size": 10}, {"parameters": "XCom of 'g.many'"})


@pytest.mark.usefixtures("dag")
@pytest.mark.parametrize("number", [3, 4])
def test_the_first_indexes_are_looked_at_and_the_others_counted(number, monkeypatch):
    monkeypatch.setattr(mapping, "_MOST_INDEXES", 3)
    kwargs = indexes_of(Job.partial(task_id="a").expand_kwargs([{"input_notebook": "n"}] * number))
    listed = indexes_of(partial().expand(volume_size=list(range(number))))
    beside = indexes_of(
        Job.partial(task_id="c", input_notebook="n").expand(tags=many(), volume_size=list(range(number)))
    )
    assert [len(each.looked_at) for each in (kwargs, listed, beside)] == [3, 3, 3]
    assert [each.left_out for each in (kwargs, listed, beside)] == [number - 3] * 3
    assert [each.count for each in (kwargs, listed, beside)] == [number, number, None]


@pytest.mark.usefixtures("dag")
def test_a_function_that_is_mapped_gets_one_argument_of_each_name():
    """It is not called: what counts is that the decorated task can be made."""

    @sagemaker_notebook_job(input_notebook="nb.ipynb")
    def f(a, b, c=1, *more, d, **rest):
        raise AssertionError

    given = many()

    def of(mapped):
        indexes = indexes_of(mapped.operator)
        (index,) = indexes.looked_at
        assert index.map_index is None
        return index.given["op_kwargs"], indexes.count

    assert of(f.expand(a=[5, 6], b={"x": 1}, d=given)) == ({"a": 5, "b": "x", "d": given}, None)
    assert of(f.expand(a=[5, 6], b=[1], d=[7])) == ({"a": 5, "b": 1, "d": 7}, 2)
    assert of(f.expand_kwargs([{"a": 1, "b": 2, "d": 3}])) == ({"a": 1, "b": 2, "d": 3}, 1)
    assert of(f.partial(b=0).expand_kwargs([given, {}])) == ({"a": given, "d": given}, 2)
    assert of(f.expand_kwargs(given)) == (dict.fromkeys("abd", given), None)
