"""What a notebook task tells OpenLineage, of each of its two legs, and that it costs nothing where nobody asks."""

import importlib.util
import json
import sys
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset
from airflow_names import mask_secret
from fakes import code, executed, failed_at, notebook, task_context
from forked_programs import AIRFLOW, run_forked
from operator_tasks import Tasks, defer, end, event_of

from airflow_nbjobs.core.errors import NotebookCellError, NotebookJobConfigError
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor

HAS_OPENLINEAGE = importlib.util.find_spec("openlineage") is not None
needs_openlineage = pytest.mark.skipif(not HAS_OPENLINEAGE, reason="needs the extra openlineage")

TEXT = {"cell_type": "markdown", "metadata": {}, "source": "# Train\n\nEvery night."}
RAW = notebook(
    TEXT,
    code("epochs = 1\ntrain_uri = ''\npassword = ''\noutput_uri = ''", "parameters"),
    "model_uri = 's3://acme/model'",
)
PARAMETERS = {"epochs": 3, "train_uri": "s3://acme/train/rows.csv", "password": "hunter2-hunter2"}


@pytest.fixture
def task(tmp_path):
    tasks = Tasks(tmp_path)
    (tmp_path / "nb.ipynb").write_bytes(RAW)
    return tasks


def names(datasets):
    return [f"{each.namespace}/{each.name}" for each in datasets]


def facets_of(found):
    """The facets as they are sent."""
    import attr

    return {name: attr.asdict(facet) for name, facet in {**found.run_facets, **found.job_facets}.items()}


@pytest.fixture
def at_worker(monkeypatch):
    """Say what a worker knows of the task instance when its start is asked for."""
    from airflow_nbjobs.task import lineage

    def start(operator, *, next_method=None, **more):
        ti = SimpleNamespace(_ti_context_from_server=SimpleNamespace(next_method=next_method), **more)
        monkeypatch.setattr(lineage, "_current_ti", lambda: ti)
        return operator.get_openlineage_facets_on_start()

    return start


@pytest.fixture
def completed(task):
    def run(operator=None, ran=None, **record):
        operator = operator or task(outputs=["model_uri"], parameters=PARAMETERS)
        deferred = defer(operator, task_context())
        # Another process resumes it: nothing of the first leg is there.
        vars(operator).pop("_lineage")
        end(task.clients, ran=ran or executed(RAW, record or {"model_uri": "s3://acme/model"}))
        operator.execute_complete(task_context(), event_of(deferred))
        return operator

    return run


# -- without it ---------------------------------------------------------------------------------------------------------


PROBE = """
import sys
sys.modules["openlineage"] = None  # as if it were not installed
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor
SageMakerNotebookJobOperator(task_id="t", input_notebook="nb.ipynb")
SageMakerNotebookJobSensor(task_id="s", job_name="j")
print(sorted(name for name in sys.modules if "lineage" in name and "airflow_nbjobs" in name))
print([name for name in sys.modules if name.startswith("airflow.providers.openlineage.") and not name.endswith("get_provider_info") or name == "airflow_nbjobs.task.asset_events"])
"""


def test_a_task_loads_nothing_of_it_until_it_is_asked(tmp_path):
    (tmp_path / "probe.py").write_text(PROBE)
    code, said = run_forked(tmp_path / "probe.py", modules=AIRFLOW)
    assert code == 0, said
    assert said.splitlines()[-2:] == ["['airflow_nbjobs.task.lineage_methods']", "[]"]


@pytest.mark.parametrize("kind", [SageMakerNotebookJobOperator, SageMakerNotebookJobSensor])
def test_openlineage_finds_its_three_questions(kind):
    """An operator with the last one alone is not recognised."""
    for moment in ("start", "complete", "failure"):
        assert callable(getattr(kind, f"get_openlineage_facets_on_{moment}"))


def test_a_parent_run_that_nobody_can_name_is_said_before_anything_is_sent(task, monkeypatch):
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage", None)
    with pytest.raises(NotebookJobConfigError, match=r"pip install 'airflow-nbjobs\[openlineage\]'"):
        task(lineage_parent=True).execute(task_context())
    assert task.clients.wrote_nothing


def test_a_text_that_says_no_parent_run_says_it(task):
    defer(task(lineage_parent="False"), task_context())
    (request,) = task.clients.jobs.requests.values()
    assert not [name for name in request["Environment"] if name.startswith("OPENLINEAGE")]


# -- start --------------------------------------------------------------------------------------------------------------


@needs_openlineage
def test_the_start_says_what_is_read_and_what_will_run(task, at_worker):
    found = at_worker(task(parameters=PARAMETERS))
    assert names(found.inputs) == ["s3://acme/train/rows.csv"]
    assert found.outputs == []
    facets = facets_of(found)
    assert facets["sourceCode"]["language"] == "python"
    assert facets["sourceCode"]["sourceCode"].endswith("\n\nmodel_uri = 's3://acme/model'")
    assert facets["documentation"]["description"] == "# Train\n\nEvery night."
    assert facets["sourceCodeLocation"]["url"].startswith("file:///")
    assert facets["sourceCodeLocation"]["path"].endswith("nb.ipynb")
    parameters = {each["key"]: each["value"] for each in facets["executionParameters"]["parameters"]}
    assert parameters == {"epochs": "3", "train_uri": "s3://acme/train/rows.csv", "password": "***"}
    assert "hunter2" not in json.dumps(facets)
    assert task.clients.wrote_nothing
    assert not task.clients.jobs.calls


@needs_openlineage
def test_the_second_start_says_nothing_else_though_the_notebook_has_changed_meanwhile(task, at_worker, tmp_path):
    """A task that defers sends two under one run id."""
    operator = task(parameters=PARAMETERS)
    first = facets_of(one := at_worker(operator))
    (tmp_path / "nb.ipynb").write_bytes(notebook(code("epochs = 7", "parameters"), "another = 1"))
    second = facets_of(two := at_worker(operator, next_method="execute_complete"))
    assert {name: first[name] for name in second} == second
    assert set(first) - set(second) == {"sourceCode", "documentation"}
    assert (names(one.inputs), names(one.outputs)) == (names(two.inputs), names(two.outputs))


@needs_openlineage
def test_a_start_without_airflows_context_says_what_the_arguments_say(task):
    found = task(parameters=PARAMETERS).get_openlineage_facets_on_start()
    assert names(found.inputs) == ["s3://acme/train/rows.csv"]
    assert "sourceCode" not in found.job_facets


@needs_openlineage
@pytest.mark.parametrize("given", ["missing.ipynb", "", None, 5, "s3://acme/nb.ipynb"], ids=str)
def test_a_notebook_that_cannot_be_read_here_costs_its_code_alone(task, at_worker, given):
    found = at_worker(task(input_notebook=given, parameters=PARAMETERS))
    assert names(found.inputs) == ["s3://acme/train/rows.csv"]
    assert "sourceCode" not in found.job_facets
    location = found.job_facets.get("sourceCodeLocation")
    assert (location.url if location else None) == (given if given == "s3://acme/nb.ipynb" else None)


@needs_openlineage
def test_of_a_bundle_from_git_the_place_in_it_and_the_commit_are_said_without_a_token(task, at_worker, tmp_path):
    bundle = SimpleNamespace(path=tmp_path, version="4d34b4b", repo_url="https://user:token@git.example/acme/dags.git")
    facets = facets_of(at_worker(task(), bundle_instance=bundle))
    location = facets["sourceCodeLocation"]
    assert {name: location[name] for name in ("type", "url", "repoUrl", "path", "version")} == {
        "type": "git",
        "url": "https://git.example/acme/dags.git",
        "repoUrl": "https://git.example/acme/dags.git",
        "path": "nb.ipynb",
        "version": "4d34b4b",
    }


@needs_openlineage
def test_of_a_notebook_outside_of_the_bundle_the_file_is_said_and_no_commit(task, at_worker, tmp_path):
    bundle = SimpleNamespace(path=tmp_path / "dags", version="4d34b4b", repo_url="https://git.example/acme/dags.git")
    location = facets_of(at_worker(task(), bundle_instance=bundle))["sourceCodeLocation"]
    file = tmp_path / "nb.ipynb"
    assert {name: location[name] for name in ("type", "url", "repoUrl", "path", "version")} == {
        "type": "file",
        "url": file.as_uri(),
        "repoUrl": None,
        "path": str(file),
        "version": None,
    }


@needs_openlineage
def test_where_a_parameter_is_written_to_is_an_output(task, at_worker):
    operator = task(
        parameters={"output_uri": "s3://acme/out"}, additional_dependencies=["s3://acme/lookup.csv", "inference.py"]
    )
    found = at_worker(operator)
    assert names(found.inputs) == ["s3://acme/lookup.csv"]
    assert names(found.outputs) == ["s3://acme/out"]


@needs_openlineage
def test_of_a_notebook_in_s3_its_key_is_the_path(task, at_worker):
    location = facets_of(at_worker(task(input_notebook="s3://acme/team/nb.ipynb")))["sourceCodeLocation"]
    assert {name: location[name] for name in ("type", "url", "path", "version")} == {
        "type": "s3",
        "url": "s3://acme/team/nb.ipynb",
        "path": "team/nb.ipynb",
        "version": None,
    }


@needs_openlineage
@pytest.mark.parametrize(
    ("repository", "said"),
    [
        ("https://git.example/acme/dags.git", "https://git.example/acme/dags.git"),
        ("ssh://git@git.example/acme/dags.git", "ssh://git.example/acme/dags.git"),
        ("/srv/dags.git", "/srv/dags.git"),
        ("", None),
        (None, None),
        (7, None),
    ],
    ids=str,
)
def test_a_bundles_repository_is_said_where_it_has_one(task, at_worker, tmp_path, repository, said):
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "x.ipynb").write_bytes(RAW)
    bundle = SimpleNamespace(path=tmp_path, version=None, repo_url=repository)
    location = facets_of(at_worker(task(input_notebook="team/x.ipynb"), bundle_instance=bundle))["sourceCodeLocation"]
    file = tmp_path / "team" / "x.ipynb"
    assert {name: location[name] for name in ("type", "url", "repoUrl", "path", "version")} == {
        "type": "git" if said else "file",
        "url": said or file.as_uri(),
        "repoUrl": said,
        "path": "team/x.ipynb",
        "version": None,
    }


@needs_openlineage
def test_a_notebook_that_is_none_costs_its_code_alone(task, at_worker, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(b"no json")
    found = at_worker(task(parameters=PARAMETERS))
    assert names(found.inputs) == ["s3://acme/train/rows.csv"]
    assert set(found.job_facets) == {"sourceCodeLocation"}


@needs_openlineage
def test_of_a_notebook_of_more_than_10_mb_the_code_is_left_out(task, at_worker, tmp_path):
    """OpenLineage waits for ten seconds."""
    limit = 10 * 1024 * 1024
    for size, is_read in ((limit, True), (limit + 1, False)):
        (tmp_path / "nb.ipynb").write_bytes(RAW.ljust(size))
        assert ("sourceCode" in at_worker(task(task_id=f"t{size}")).job_facets) is is_read


@needs_openlineage
def test_a_notebook_without_a_text_has_no_documentation(task, at_worker, tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("x = 1"))
    found = at_worker(task())
    assert "documentation" not in found.job_facets
    assert found.job_facets["sourceCode"].sourceCode == "x = 1"


@needs_openlineage
def test_secrets_in_the_code_and_its_text_are_masked(task, at_worker, tmp_path):
    mask_secret("hunter2-of-acme")
    text = {"cell_type": "markdown", "metadata": {}, "source": "# Log in as hunter2-of-acme"}
    (tmp_path / "nb.ipynb").write_bytes(notebook(text, "key = 'hunter2-of-acme'"))
    facets = facets_of(at_worker(task()))
    assert facets["sourceCode"]["sourceCode"] == "key = '***'"
    assert facets["documentation"]["description"] == "# Log in as ***"


@needs_openlineage
def test_parameters_are_said_as_texts_of_at_most_1000_characters(task, at_worker):
    given = {
        "flag": True,
        "rows": [1, {"a": None}],
        "text": "a 'b'",
        "long": "x" * 1001,
        "fits": "x" * 1000,
        "n": 10**5000,
    }
    parameters = facets_of(at_worker(task(parameters=given)))["executionParameters"]["parameters"]
    said = {each["key"]: each["value"] for each in parameters}
    assert said.pop("long").startswith("x" * 900)
    assert said == {
        "flag": "true",
        "rows": '[1, {"a": null}]',
        "text": "a 'b'",
        "fits": "x" * 1000,
        "n": "a int",
    }
    assert all(len(each["value"]) <= 1001 for each in parameters)


@needs_openlineage
@pytest.mark.parametrize("parameters", [None, {}, "{{ ds }}"], ids=str)
def test_a_task_without_parameters_says_none(task, at_worker, parameters):
    assert "executionParameters" not in at_worker(task(parameters=parameters)).run_facets


# -- completed ----------------------------------------------------------------------------------------------------------


@needs_openlineage
def test_the_end_says_what_was_written_what_ran_and_which_job_it_was(task, completed):
    operator = completed()
    (job_name,) = task.clients.jobs.descriptions
    found = operator.get_openlineage_facets_on_complete(SimpleNamespace())
    assert names(found.inputs) == ["s3://acme/train/rows.csv"]
    assert names(found.outputs) == ["s3://acme/model"]
    facets = facets_of(found)
    arn = task.clients.jobs.descriptions[job_name]["TrainingJobArn"]
    assert (facets["externalQuery"]["externalQueryId"], facets["externalQuery"]["source"]) == (arn, "sagemaker")
    # The author's code: neither the values that were given, nor the cell that records the outputs.
    assert facets["sourceCode"]["sourceCode"].count("\n\n") == 1
    assert "nbjobs" not in facets["sourceCode"]["sourceCode"]
    assert facets["documentation"]["description"].startswith("# Train")
    tags = {each["key"]: each["value"] for each in facets["tags"]["tags"]}
    assert tags["job_name"] == job_name
    assert tags["billable_seconds"] == "90"
    assert tags["executed_notebook_uri"].endswith(f"{job_name}.ipynb")
    assert "hunter2" not in json.dumps(facets)


@needs_openlineage
def test_it_asks_neither_aws_nor_the_disk(task, completed, monkeypatch):
    """OpenLineage asks in a fork and waits for ten seconds."""
    operator = completed()
    calls, puts = list(task.clients.jobs.calls), list(task.clients.objects.puts)
    monkeypatch.setattr(task.clients.objects, "open", lambda *_: pytest.fail("S3 was asked"))
    operator.get_openlineage_facets_on_complete(SimpleNamespace())
    assert (task.clients.jobs.calls, task.clients.objects.puts) == (calls, puts)


def provider_reads_assets():
    from airflow.providers.openlineage.extractors import ExtractorManager

    return ExtractorManager().convert_to_ol_dataset(Asset("s3://acme/lookup")) is not None


@needs_openlineage
def test_the_tasks_own_inlets_and_outlets_are_among_the_datasets(task, completed):
    """The provider leaves them out where an operator names a dataset itself."""
    if not provider_reads_assets():
        pytest.skip("the provider takes no assets for datasets, whatever the operator")
    operator = task(
        outputs=["model_uri"],
        parameters=PARAMETERS,
        inlets=[Asset("s3://acme/lookup")],
        outlets=[Asset("s3://acme/models/current"), Asset("s3://acme/model"), Asset("a-name-alone")],
    )
    found = completed(operator).get_openlineage_facets_on_complete(SimpleNamespace())
    assert names(found.inputs) == ["s3://acme/train/rows.csv", "s3://acme/lookup"]
    assert names(found.outputs) == ["s3://acme/model", "s3://acme/models/current"]


@pytest.fixture
def collector(monkeypatch):
    """What hooks tell Airflow of the datasets that they have touched."""
    from airflow.providers.common.compat.lineage import hook
    from airflow.providers.openlineage.extractors import manager

    try:
        from airflow.sdk.lineage import HookLineageCollector
    except ImportError:  # Airflow < 3.2
        from airflow.lineage.hook import HookLineageCollector

    collector = HookLineageCollector()
    if getattr(hook, "_lacks_add_extra_method", lambda _: False)(collector):  # then the provider adds to Airflow's own
        collector = hook._add_extra_polyfill(collector)
    monkeypatch.setattr(hook, "get_hook_lineage_collector", lambda: collector)
    monkeypatch.setattr(manager, "_is_hook_lineage_collector_created", lambda: True, raising=False)
    return collector


@needs_openlineage
def test_what_hooks_have_collected_is_among_the_datasets_of_a_failure_too(task, failed, collector):
    collector.add_input_asset(failed, uri="s3://acme/by-a-hook")
    found = failed.get_openlineage_facets_on_failure(SimpleNamespace())
    assert names(found.inputs) == ["s3://acme/train/rows.csv", "s3://acme/by-a-hook"]
    assert "s3://acme/by-a-hook" not in names(failed.get_openlineage_facets_on_start().inputs)


@needs_openlineage
def test_what_hooks_have_collected_is_among_the_datasets(completed, collector):
    collector.add_input_asset(completed, uri="s3://acme/by-a-hook")
    found = completed().get_openlineage_facets_on_complete(SimpleNamespace())
    assert "s3://acme/by-a-hook" in names(found.inputs)


@needs_openlineage
def test_a_task_that_names_no_dataset_leaves_the_rest_to_the_provider(task, completed):
    """Which would else send what hooks have collected twice."""
    operator = completed(task(outlets=[Asset("s3://acme/models/current")]), model_uri="x")
    found = operator.get_openlineage_facets_on_complete(SimpleNamespace())
    assert (found.inputs, found.outputs) == ([], [])


@needs_openlineage
def test_a_job_that_nobody_waits_for_says_what_was_sent(task):
    operator = task(parameters=PARAMETERS, wait_for_completion=False)
    operator.execute(task_context())
    facets = facets_of(operator.get_openlineage_facets_on_complete(SimpleNamespace()))
    (description,) = task.clients.jobs.descriptions.values()
    assert facets["externalQuery"]["externalQueryId"] == description["TrainingJobArn"]
    assert facets["sourceCode"]["sourceCode"].endswith("model_uri = 's3://acme/model'")
    assert "hunter2" not in json.dumps(facets)


@pytest.fixture
def without_code(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__DISABLE_SOURCE_CODE", "True")


@needs_openlineage
def test_code_stays_at_home_where_the_configuration_says_so(task, completed, at_worker, without_code):
    operator = completed()
    for found in (at_worker(operator), operator.get_openlineage_facets_on_complete(SimpleNamespace())):
        assert "sourceCode" not in found.job_facets
        assert "model_uri =" not in json.dumps(facets_of(found))
        assert found.job_facets["documentation"].description.startswith("# Train")


@needs_openlineage
def test_the_end_has_each_fact_of_the_job_as_a_tag_and_no_failed_cell(task, completed):
    facets = facets_of(completed().get_openlineage_facets_on_complete(SimpleNamespace()))
    tags = facets["tags"]["tags"]
    assert [each["key"] for each in tags] == [
        "job_name",
        "status",
        "executed_notebook_uri",
        "notebook_sha256",
        "instance_type",
        "billable_seconds",
    ]
    assert {each["source"] for each in tags} == {"airflow_nbjobs"}
    said = {each["key"]: each["value"] for each in tags}
    assert (said["status"], said["instance_type"]) == ("Completed", "ml.m5.large")
    assert "errorMessage" not in facets


@needs_openlineage
def test_a_job_without_an_executed_notebook_says_what_was_staged(task):
    """With the file's own name, not another file's of the job."""
    operator = task(parameters=PARAMETERS, wait_for_completion=False, additional_dependencies=[])
    operator.execute(task_context())
    found = operator.get_openlineage_facets_on_complete(SimpleNamespace())
    assert found.job_facets["documentation"].description == "# Train\n\nEvery night."
    assert "nbjobs" not in found.job_facets["sourceCode"].sourceCode


@needs_openlineage
def test_a_task_that_knows_nothing_of_a_job_says_what_it_was_given(task):
    found = task(parameters=PARAMETERS).get_openlineage_facets_on_complete(SimpleNamespace())
    assert names(found.inputs) == ["s3://acme/train/rows.csv"]
    assert set(found.run_facets) == {"executionParameters"}
    assert "sourceCode" not in found.job_facets


@needs_openlineage
def test_a_dataset_that_task_and_parameters_name_is_said_once(task, completed):
    if not provider_reads_assets():
        pytest.skip("the provider takes no assets for datasets, whatever the operator")
    operator = task(outputs=["model_uri"], parameters=PARAMETERS, inlets=[Asset("s3://acme/train/rows.csv")])
    found = completed(operator).get_openlineage_facets_on_complete(SimpleNamespace())
    assert names(found.inputs) == ["s3://acme/train/rows.csv"]


# -- failed -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def failed(task):
    operator = task(parameters=PARAMETERS)
    deferred = defer(operator, task_context())
    vars(operator).pop("_lineage")
    end(task.clients, "Failed", reason="AlgorithmError", ran=failed_at(RAW, 3, "ValueError", "no such model"))
    with pytest.raises(NotebookCellError):
        operator.execute_complete(task_context(), event_of(deferred, status="Failed"))
    return operator


@needs_openlineage
def test_a_failure_names_the_cell_and_the_job(task, failed):
    found = failed.get_openlineage_facets_on_failure(SimpleNamespace())
    facets = facets_of(found)
    assert "failed in cell 3: ValueError: no such model" in facets["errorMessage"]["message"]
    assert {each["key"]: each["value"] for each in facets["tags"]["tags"]}["failed_cell"] == "3"
    assert facets["externalQuery"]["source"] == "sagemaker"
    assert names(found.inputs) == ["s3://acme/train/rows.csv"]
    assert "hunter2" not in json.dumps(facets)


@needs_openlineage
def test_a_failure_quotes_no_code_where_the_configuration_says_so(failed, without_code):
    facets = facets_of(failed.get_openlineage_facets_on_failure(SimpleNamespace()))
    assert "failed in cell 3" in facets["errorMessage"]["message"]
    assert "model_uri =" not in json.dumps(facets)


@needs_openlineage
def test_a_task_that_was_refused_says_why(task, at_worker):
    operator = task(parameters={"epoch": 3} | PARAMETERS)
    with pytest.raises(NotebookJobConfigError):
        operator.execute(task_context())
    facets = facets_of(operator.get_openlineage_facets_on_failure(SimpleNamespace()))
    assert "'epoch'" in facets["errorMessage"]["message"]
    assert "externalQuery" not in facets


@needs_openlineage
def test_a_failure_has_the_cells_traceback_where_code_may_be_shown(task, failed, monkeypatch):
    facet = facets_of(failed.get_openlineage_facets_on_failure(SimpleNamespace()))["errorMessage"]
    assert facet["programmingLanguage"] == "python"
    assert "no such model" in facet["stackTrace"]
    assert "model_uri = 's3://acme/model'" in facet["message"]
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__DISABLE_SOURCE_CODE", "True")
    facet = facets_of(failed.get_openlineage_facets_on_failure(SimpleNamespace()))["errorMessage"]
    assert facet["stackTrace"] is None
    assert facet["message"].startswith("Notebook job")
    assert "\n" not in facet["message"]


@needs_openlineage
def test_a_failure_without_a_traceback_has_none(task):
    operator = task(parameters={"epoch": 3} | PARAMETERS)
    with pytest.raises(NotebookJobConfigError):
        operator.execute(task_context())
    assert operator.get_openlineage_facets_on_failure(SimpleNamespace()).run_facets["errorMessage"].stackTrace is None


@needs_openlineage
def test_a_task_without_an_error_of_its_own_leaves_that_to_the_listener(task):
    assert "errorMessage" not in task().get_openlineage_facets_on_failure(SimpleNamespace()).run_facets


# -- the parent of what runs in the notebook ------------------------------------------------------------------------------


@pytest.fixture
def openlineage(monkeypatch):
    from airflow.providers.openlineage import conf

    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", '{"type": "console"}')
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__NAMESPACE", "acme")
    caches = [each for each in vars(conf).values() if hasattr(each, "cache_clear")]
    for each in caches:
        each.cache_clear()
    yield conf
    for each in caches:
        each.cache_clear()


@pytest.fixture
def ids(monkeypatch):
    from airflow.providers.openlineage.plugins import macros

    monkeypatch.setattr(macros, "lineage_parent_id", lambda ti: f"acme/{ti.dag_id}.{ti.task_id}/0190")
    monkeypatch.setattr(macros, "lineage_root_parent_id", lambda ti: f"acme/{ti.dag_id}/0191")


@needs_openlineage
def test_the_jobs_environment_carries_the_parent_run_on_request(task, openlineage, ids):
    defer(task(lineage_parent=True, environment_variables={"STAGE": "prod"}), task_context())
    (request,) = task.clients.jobs.requests.values()
    environment = request["Environment"]
    assert environment["OPENLINEAGE_PARENT_ID"] == "acme/d.t/0190"
    assert environment["OPENLINEAGE_ROOT_PARENT_ID"] == "acme/d/0191"
    assert environment["STAGE"] == "prod"


@needs_openlineage
def test_two_words_for_the_parent_are_one_too_many(task, openlineage, ids):
    with pytest.raises(NotebookJobConfigError, match="OPENLINEAGE_PARENT_ID, and so does lineage_parent=True"):
        task(lineage_parent=True, environment_variables={"OPENLINEAGE_PARENT_ID": "a/b/c"}).execute(task_context())
    assert task.clients.wrote_nothing


@needs_openlineage
def test_where_openlineage_sends_nothing_there_is_no_parent_and_the_log_says_so(task, monkeypatch, capsys):
    from airflow.providers.openlineage import conf

    monkeypatch.setattr(conf, "is_disabled", lambda: True)
    defer(task(lineage_parent=True), task_context())
    (request,) = task.clients.jobs.requests.values()
    assert "OPENLINEAGE_PARENT_ID" not in request["Environment"]
    assert "the job gets no parent run" in capsys.readouterr().out


@needs_openlineage
def test_an_id_longer_than_a_variable_is_left_out_and_said(task, openlineage, ids, monkeypatch, capsys):
    from airflow.providers.openlineage.plugins import macros

    monkeypatch.setattr(macros, "lineage_parent_id", lambda _: "x" * 600)
    defer(task(lineage_parent=True), task_context())
    (request,) = task.clients.jobs.requests.values()
    assert "OPENLINEAGE_PARENT_ID" not in request["Environment"]
    assert request["Environment"]["OPENLINEAGE_ROOT_PARENT_ID"] == "acme/d/0191"
    assert "OPENLINEAGE_PARENT_ID is longer than the 512 characters" in capsys.readouterr().out


@needs_openlineage
def test_an_id_as_long_as_a_variable_is_handed_on(task, openlineage, ids, monkeypatch, capsys):
    from airflow.providers.openlineage.plugins import macros

    monkeypatch.setattr(macros, "lineage_parent_id", lambda _: "x" * 512)
    defer(task(lineage_parent=True), task_context())
    (request,) = task.clients.jobs.requests.values()
    assert request["Environment"]["OPENLINEAGE_PARENT_ID"] == "x" * 512
    assert "is longer than" not in capsys.readouterr().out


@needs_openlineage
def test_a_provider_without_a_root_run_names_the_parent_alone(task, openlineage, ids, monkeypatch):
    from airflow.providers.openlineage.plugins import macros

    monkeypatch.delattr(macros, "lineage_root_parent_id")
    defer(task(lineage_parent=True), task_context())
    (request,) = task.clients.jobs.requests.values()
    named = {name: value for name, value in request["Environment"].items() if name.startswith("OPENLINEAGE")}
    assert named == {"OPENLINEAGE_PARENT_ID": "acme/d.t/0190"}
