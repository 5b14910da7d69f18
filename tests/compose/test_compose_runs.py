"""The services of ``docker-compose.yaml`` as local processes, by the file's own commands, and the sample pipeline through them."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from stack import Stack, until

from airflow_nbjobs.local.container.image import inspect_image
from airflow_nbjobs.local.container.probe import WAYS, try_way
from airflow_nbjobs.local.embedded import make_client
from airflow_nbjobs.local.state.facts import read_ready_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.commands.demo.api import AirflowApi

pytestmark = pytest.mark.slow

DAG_ID = "sentiment_pipeline"
RUN_SECONDS = 900.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if all(try_way(way, inspect_image(Path(sys.prefix))) for way in WAYS[:2]):
        pytest.skip("no namespaces for the embedded SageMaker's own file system")
    with Stack(tmp_path_factory.mktemp("compose"), {}) as running:
        for name in ("scheduler", "dag-processor", "triggerer"):
            running.wait_healthy(name)
        yield running


@pytest.fixture(scope="module")
def api(stack: Stack) -> AirflowApi:
    return stack.api()


def test_the_sample_pipeline_is_green_and_its_jobs_ran_on_the_embedded_sagemaker(stack: Stack, api: AirflowApi) -> None:
    until(lambda: api.has_dag(DAG_ID), seconds=200, what=lambda: stack.output("dag-processor")[-3000:])
    assert api.import_errors() == {}
    run_id = api.trigger(DAG_ID, {"rows": 60, "epochs": 2})
    until(
        lambda: api.run_state(DAG_ID, run_id) in ("success", "failed"),
        seconds=RUN_SECONDS,
        what=lambda: str(api.task_instances(DAG_ID, run_id))[-3000:],
    )
    instances = api.task_instances(DAG_ID, run_id)
    logs = {
        instance["task_id"]: api.log_events(instance)[-12:] for instance in instances if instance["state"] != "success"
    }
    assert api.run_state(DAG_ID, run_id) == "success", logs
    assert stack.sagemaker
    facts = read_ready_file(stack.sagemaker.tmp("ready.json"))
    jobs = make_client(facts, "sagemaker").list_training_jobs()["TrainingJobSummaries"]
    named = {instance["task_id"]: api.xcom(instance, "return_value")["job_name"] for instance in instances}
    assert {job["TrainingJobName"]: job["TrainingJobStatus"] for job in jobs} == dict.fromkeys(
        named.values(), "Completed"
    )
    assert sorted(named) == ["preprocess", "training", "transform-monitor"]


def test_airflow_reads_the_logs_of_a_task_from_the_shared_volume(stack: Stack, api: AirflowApi) -> None:
    [instance] = [task for task in api.task_instances(DAG_ID, "demo") if task["task_id"] == "preprocess"]
    text = json.dumps(api.log_events(instance))
    assert "Staged" in text
    assert "preprocess.ipynb" in text


def test_every_service_says_that_it_is_healthy(stack: Stack) -> None:
    checked = [name for name, service in stack.services.items() if "healthcheck" in service]
    assert {name: stack.unhealthy(name) for name in checked} == dict.fromkeys(checked)


def test_the_embedded_sagemaker_answers_to_its_name_in_the_network_and_to_no_other(stack: Stack) -> None:
    def status(host: str) -> int:
        assert stack.sagemaker
        facts = read_ready_file(stack.sagemaker.tmp("ready.json"))
        signature = f"AWS4-HMAC-SHA256 Credential={facts.access_key_id}/20261122/{facts.region}/sagemaker/aws4_request, Signature=0"
        connection = http.client.HTTPConnection("127.0.0.1", stack.sagemaker_port)
        headers = {"Host": host, "Authorization": signature, "X-Amz-Target": "SageMaker.ListTrainingJobs"}
        connection.request("POST", "/", body="{}", headers=headers)
        answer = connection.getresponse().status
        connection.close()
        return answer

    assert (status("sagemaker:4599"), status("api-server:4599")) == (200, 403)
    assert "one training job at a time" in stack.output("sagemaker")


def test_a_second_start_keeps_the_secrets_of_the_first_and_nobody_else_may_read_them(stack: Stack) -> None:
    def secrets() -> dict[str, tuple[str, int]]:
        folders = (stack.volume("secrets"), stack.volume("sagemaker-key"))
        files = [path for folder in folders for path in folder.iterdir()]
        return {path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in files}

    before = secrets()
    process = stack._run(
        "secrets", stack.mapping.all([*stack.services["secrets"]["entrypoint"], *stack.services["secrets"]["command"]])
    )
    assert process.wait(60) == 0, stack.output("secrets")
    after = secrets()
    assert {name: text for name, (text, _) in after.items()} == {name: text for name, (text, _) in before.items()}
    assert len(after) == 10
    assert all(mode & 0o007 == 0 for _, mode in after.values())


def test_no_secret_is_in_a_log(stack: Stack) -> None:
    secrets = [path.read_text() for path in stack.volume("secrets").iterdir() if path.suffix != ".json"]
    secrets += [
        line.split(" = ")[1] for line in (stack.volume("sagemaker-key") / "credentials").read_text().splitlines()[1:]
    ]
    secrets += json.loads((stack.volume("secrets") / "passwords.json").read_text()).values()
    logs = [path for path in (*stack.folder.glob("*.log"), *stack.volume("logs").rglob("*.log")) if path.is_file()]
    texts = [path.read_text(errors="replace") for path in logs] + [stack.output("sagemaker")]
    assert len(texts) > 8
    assert [secret[:3] for secret in secrets for text in texts if secret in text] == []
