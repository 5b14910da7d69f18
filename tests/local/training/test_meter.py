"""What the embedded SageMaker measures of its own jobs' processes, and how CloudWatch has it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from local_jobs import Jobs

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.core.job.machines import machine_of
from airflow_nbjobs.local.embedded import EmbeddedSageMaker, EmbeddedSageMakerError
from airflow_nbjobs.local.training.meter import Meter, Usage, datums, demand_seconds, disk_bytes, usage_of

LARGE = machine_of("ml.m5.large")
MIB = 1024**2
linux = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="measured is /proc")  # noqa: PTH110


@pytest.fixture(scope="module")
def metered():
    with EmbeddedSageMaker(jobs=2, metrics_period=0.2) as server:
        yield server


def points(server, *names, period=1):
    now = datetime.now(tz=UTC)
    metrics = Boto3Clients(server.client).metrics
    return metrics.read(
        names,
        started=now - timedelta(minutes=10),
        ended=now + timedelta(minutes=1),
        period_seconds=period,
    )


@linux
@pytest.mark.local
def test_what_a_job_uses_is_what_cloudwatch_has_of_it(metered):
    """300 MiB are held and one core is busy; another job beside it does nothing."""
    jobs = Jobs(metered)
    work = "import time; held = bytearray(b'x' * 300 * 2**20); end = time.time() + 2; [0 for _ in iter(lambda: time.time() < end, False)]"
    idle = jobs.submit_script("head -c 60000000 /dev/zero > /opt/ml/model/weights; sleep 1.5")
    busy = jobs.submit_script(f'{sys.executable} -c "{work}"')
    assert jobs.wait(busy)["TrainingJobStatus"] == "Completed"
    assert jobs.wait(idle)["TrainingJobStatus"] == "Completed"
    found = points(metered, busy, idle, "job-of-nobody")
    assert found["job-of-nobody"] == {}
    assert set(found[busy]) >= {"memory", "disk"}
    assert "gpu" not in found[busy]
    memory = max(value for _, value in found[busy]["memory"])
    assert 300 * MIB / (8 * 1024 * MIB) * 100 < memory < 8
    assert max(value for _, value in found[idle]["memory"]) < 1
    assert 0.18 < max(value for _, value in found[idle]["disk"]) < 0.4  # 60 MB of 30 GiB
    if (os.cpu_count() or 1) >= 2:
        cpu = sorted(value for _, value in found[busy]["cpu"])
        assert 60 < cpu[-1] <= 200  # also where other tests run beside it: waiting for a core counts
        assert max(value for _, value in found[idle]["cpu"]) < cpu[-1]
    moments = [moment for moment, _ in found[busy]["memory"]]
    assert moments == sorted(moments)
    assert abs(moments[-1] - time.time()) < 60


@linux
@pytest.mark.local
def test_the_console_of_others_has_the_same_numbers(metered):
    """As anybody's boto3 program asks: GetMetricStatistics, ListMetrics, a sum over both with metric math."""
    jobs = Jobs(metered)
    name = jobs.submit_script("sleep 1")
    jobs.wait(name)
    cloudwatch = metered.client("cloudwatch")
    host = [{"Name": "Host", "Value": f"{name}/algo-1"}]
    now = datetime.now(tz=UTC)
    asked = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=1)}
    (point, *_) = cloudwatch.get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="MemoryUtilization",
        Dimensions=host,
        Period=60,
        Statistics=["Maximum"],
        **asked,
    )["Datapoints"]
    assert 0 < point["Maximum"] < 100
    assert point["Unit"] == "Percent"
    listed = cloudwatch.list_metrics(Namespace="/aws/sagemaker/TrainingJobs", Dimensions=host)["Metrics"]
    assert "DiskUtilization" in {metric["MetricName"] for metric in listed}
    metric = {"Namespace": "/aws/sagemaker/TrainingJobs", "MetricName": "MemoryUtilization", "Dimensions": host}
    queries = [
        {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}, "ReturnData": False},
        {"Id": "twice", "Expression": "m"},
    ]
    (result,) = cloudwatch.get_metric_data(MetricDataQueries=queries, **asked)["MetricDataResults"]
    assert result["Values"]


@pytest.mark.local
def test_the_metrics_ask_for_the_key_as_well(metered):
    import boto3

    stranger = boto3.client(
        "cloudwatch",
        endpoint_url=metered.endpoint_url,
        region_name=metered.facts.region,
        aws_access_key_id="another",
        aws_secret_access_key="another",
    )
    with pytest.raises(ClientError, match="another access key id"):
        stranger.list_metrics()


@pytest.mark.local
def test_a_type_that_is_not_known_has_no_points(metered):
    jobs = Jobs(metered)
    unknown = jobs.submit_script(
        "sleep 1",
        ResourceConfig={"InstanceType": "ml.p6e-gb200.36xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    )
    jobs.wait(unknown)
    assert points(metered, unknown)[unknown] == {}


@linux
def test_a_job_ends_though_its_last_point_cannot_be_published(monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.local.training.meter._LAST_POINT_SECONDS", 0.1)
    asked, released, answered = threading.Event(), threading.Event(), threading.Event()

    class Silent:
        def put_metric_data(self, **_):
            asked.set()
            released.wait(60)
            answered.set()

    request = {"ResourceConfig": {"InstanceType": "ml.m5.large", "VolumeSizeInGB": 30}}
    meter = Meter(Silent(), job_name="j", request=request, pid=os.getpid(), folders=[], seconds=0.01)
    try:
        with meter.measuring():
            assert asked.wait(30)
        assert not answered.is_set()
    finally:
        released.set()


# -- measuring ----------------------------------------------------------------------------------------------------------


@linux
def test_children_that_have_ended_count_and_those_of_others_do_not():
    script = "import subprocess, sys, time; subprocess.run([sys.executable, '-c', 'sum(i * i for i in range(3_000_000))']); print('done', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        used = usage_of(process.pid)
        process.kill()
    assert used.cpu_seconds > 0.1
    assert MIB < used.memory_bytes < 100 * MIB
    gone = usage_of(process.pid)
    assert (gone.cpu_seconds, gone.memory_bytes) == (0, 0)


def test_a_process_whose_name_is_hostile_or_that_ends_meanwhile_breaks_nothing(tmp_path):
    rows = {
        10: "10 (a) b) R 1 0 0 0 0 0 0 0 0 0 100 200 300 400 0",
        11: "11 (x y\n) S 10 0 0 0 0 0 0 0 0 0 1 1 1 1 0",
        12: "12 (other) S 1 0 0 0 0 0 0 0 0 0 9 9 9 9 0",
        13: "13 (half",
    }
    for pid, text in rows.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(text)
    (tmp_path / "14").mkdir()
    for pid, thread, text in (
        (10, "10", "5 2000000000 7"),
        (10, "17", "5 500000000 7"),
        (11, "11", "broken"),
        (12, "12", "1 9 9"),
    ):
        (tmp_path / str(pid) / "task" / thread).mkdir(parents=True)
        (tmp_path / str(pid) / "task" / thread / "schedstat").write_text(text)
    (tmp_path / "11" / "smaps_rollup").write_text("Rss: 9 kB\nPss:  3 kB\n")
    (tmp_path / "10" / "status").write_text("VmPeak: 9 kB\nVmRSS:\t  4 kB\n")
    used = usage_of(10, tmp_path)
    assert round(used.cpu_seconds * os.sysconf("SC_CLK_TCK")) == 1004
    assert used.memory_bytes == 7 * 1024
    assert used.waited_seconds == {10: 2.0, 17: 0.5}


def test_who_stands_in_line_for_a_core_needs_it():
    before = Usage(cpu_seconds=3.0, memory_bytes=1, waited_seconds={1: 2.0, 2: 9.0})
    now = Usage(cpu_seconds=3.5, memory_bytes=1, waited_seconds={1: 2.25, 3: 1.0})
    assert demand_seconds(before, now) == 1.75
    assert demand_seconds(now, Usage(cpu_seconds=1.0, memory_bytes=1)) == 0


@linux
def test_a_busy_process_on_a_busy_machine_is_seen_as_busy():
    """Two loops on one core: each gets half of it, and needs one."""
    loops = [subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"]) for _ in range(2)]
    try:
        for loop in loops:
            os.sched_setaffinity(loop.pid, {min(os.sched_getaffinity(0))})
        time.sleep(0.3)  # until the interpreters are up
        before, begun = usage_of(loops[0].pid), time.monotonic()
        time.sleep(0.7)
        share = demand_seconds(before, usage_of(loops[0].pid)) / (time.monotonic() - begun)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert 0.7 < share < 1.3


def test_what_is_published_is_a_share_of_the_machine_that_the_job_has_named():
    given = {"memory_bytes": 2 * 1024 * MIB, "disk_percent": 12.0}
    found = datums(LARGE, cpu_percent=150.0, cores=2, **given)
    assert found == {"MemoryUtilization": 25.0, "CPUUtilization": 150.0, "DiskUtilization": 12.0}


@pytest.mark.parametrize(("cores", "cpu", "shown"), [(64, 900.0, 200.0), (2, 150.0, 150.0), (1, 90.0, None)])
def test_cpu_is_at_most_the_machines_and_is_not_given_where_this_one_has_fewer_cores(cores, cpu, shown):
    found = datums(LARGE, cpu_percent=cpu, memory_bytes=0, disk_percent=None, cores=cores)
    assert found.get("CPUUtilization") == shown
    assert "DiskUtilization" not in found


def test_files_are_counted_up_to_a_number(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"x" * 10_000)
    (tmp_path / "link").symlink_to("/")
    assert disk_bytes([tmp_path, tmp_path / "missing"]) in range(8_192, 40_000)
    (tmp_path / "b").touch()
    monkeypatch.setattr("airflow_nbjobs.local.training.meter._MOST_FILES", 1)
    assert disk_bytes([tmp_path]) is None


@pytest.mark.parametrize(
    ("argument", "text"), [("metrics_period", "is 0.1 to 3600 seconds, not 0"), ("jobs", "is 1 or more, not 0")]
)
def test_zero_is_not_the_default(argument, text):
    with pytest.raises(EmbeddedSageMakerError, match=text), EmbeddedSageMaker(**{argument: 0}):
        pass


def test_a_period_out_of_range_is_refused(capsys):
    from airflow_nbjobs import cli

    for text in ("0", "nan", "4000"):
        assert cli.main(["local", "--port", "0", "--metrics-period", text]) == 2
        assert "--metrics-period is 0.1 to 3600 seconds" in capsys.readouterr().err
