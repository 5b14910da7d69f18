"""
The sample's notebooks against an S3 that holds what the embedded SageMaker's holds: one by papermill in a real kernel, what only computes as a program.

That ``preprocess.ipynb`` runs in a kernel as well is shown by README's example of ``nbjobs run``.
"""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import boto3
import nbformat
import pytest
from moto.server import ThreadedMotoServer
from sample_runs import (
    HAS_TRANSFORMERS,
    NAMES,
    NOTEBOOKS,
    PREPARED,
    TRAINED,
    Aws,
    Program,
    Run,
    execute,
    execute_as_program,
    kernel_environment,
)

from airflow_nbjobs.local.sample_data import sample_objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGION = "us-west-2"


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_stored_without_outputs_and_is_valid(name):
    notebook = nbformat.read(NOTEBOOKS / name, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_needs_nothing_but_what_the_image_has(name):
    """Nothing of this package, no shell, no installation: the same file runs in SageMaker Distribution and on a laptop."""
    code = "\n".join(
        cell.source for cell in nbformat.read(NOTEBOOKS / name, as_version=4).cells if cell.cell_type == "code"
    )
    assert "boto3" in code
    forbidden = ("!", "%pip", "%%", "import airflow", "from airflow")
    assert [line for line in code.splitlines() if line.lstrip().startswith(forbidden)] == []


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3", region_name=REGION, endpoint_url=endpoint, aws_access_key_id="k", aws_secret_access_key="s"
    )
    source = f"sagemaker-example-files-prod-{REGION}"
    for bucket in (source, "acme"):
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    for key, body in sample_objects().items():
        client.put_object(Bucket=source, Key=key, Body=body)
    environment = kernel_environment(
        {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
        }
    )
    try:
        yield Aws(client, environment)
    finally:
        client.close()
        server.stop()


@pytest.fixture(scope="module")
def prepared(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("prepared")
    parameters = {"default_s3_bucket": "s3://acme/pipeline/", "day": "2026-01-05"}
    return execute_as_program("preprocess.ipynb", parameters, PREPARED, aws=aws, folder=folder)


@pytest.fixture(scope="module")
def trained(aws: Aws, prepared: Program, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("trained")
    parameters = {"train_s3_uri": prepared.variables["train_s3_uri"], "model_name": "baseline"}
    return execute("training.ipynb", parameters, TRAINED, aws=aws, folder=folder)


@pytest.mark.local
def test_preprocess_stores_the_days_slice_and_leaves_its_facts(aws, prepared):
    assert prepared.exit_code == 0, prepared.said
    assert prepared.variables["train_rows"] == 500
    assert prepared.variables["train_s3_uri"] == "s3://acme/pipeline/2026-01-05/rows-500/train.csv"
    assert sum(prepared.variables["label_counts"].values()) == 500
    header, *rows = aws.read(prepared.variables["train_s3_uri"]).decode().splitlines()
    assert (header, len(rows)) == ("label,text", 500)


@pytest.mark.local
def test_without_a_bucket_the_accounts_default_bucket_is_made_and_a_day_keeps_its_slice(aws, prepared, tmp_path):
    run = execute_as_program("preprocess.ipynb", {"day": "2026-01-05"}, PREPARED, aws=aws, folder=tmp_path)
    assert run.exit_code == 0, run.said
    uri = run.variables["train_s3_uri"]
    assert uri == f"s3://sagemaker-{REGION}-123456789012/sentiment-pipeline/2026-01-05/rows-500/train.csv"
    assert aws.read(uri) == aws.read(prepared.variables["train_s3_uri"])


@pytest.mark.local
def test_the_next_day_gets_another_slice(aws, prepared, tmp_path):
    parameters = {"default_s3_bucket": "s3://acme", "day": "2026-01-06"}
    run = execute_as_program("preprocess.ipynb", parameters, PREPARED, aws=aws, folder=tmp_path)
    assert run.exit_code == 0, run.said
    assert run.variables["train_s3_uri"] == "s3://acme/2026-01-06/rows-500/train.csv"
    today, tomorrow = (set(aws.read(each.variables["train_s3_uri"]).splitlines()) for each in (prepared, run))
    assert len(today & tomorrow) < 50  # a few short sentences coincide


@pytest.mark.local
def test_more_rows_than_the_data_set_has_are_refused(aws, tmp_path):
    said = execute_as_program("preprocess.ipynb", {"rows": 10_000}, aws=aws, folder=tmp_path).said
    assert "ValueError: rows must be between 1 and 6920, the lines of the data set; it is 10000" in said


@pytest.mark.local
def test_training_reaches_an_accuracy_that_is_neither_luck_nor_perfect(trained):
    assert trained.exit_code == 0, trained.log
    assert 0.75 < trained.variables["accuracy"] < 0.92
    assert trained.variables["test_rows_used"] == 1000


@pytest.mark.local
def test_training_plots_a_confusion_matrix(trained):
    assert trained.images() == ["confusion-matrix"]


@pytest.mark.local
def test_training_stores_the_model_with_its_metadata(aws, prepared, trained):
    uri = trained.variables["model_s3_uri"]
    assert uri == "s3://acme/pipeline/2026-01-05/rows-500/models/baseline/interactive/model.tar.gz"
    with tarfile.open(fileobj=io.BytesIO(aws.read(uri)), mode="r:gz") as archive:
        assert archive.getnames() == ["baseline.json", "code/inference.py", "metadata.json"]
        metadata = json.loads(archive.extractfile("metadata.json").read())
    assert metadata["accuracy"] == trained.variables["accuracy"]
    assert metadata["train_s3_uri"] == prepared.variables["train_s3_uri"]


@pytest.mark.local
@pytest.mark.parametrize("as_type", [str, bytes])
def test_the_stored_baseline_answers_by_its_own_inference_py(aws, trained, tmp_path, as_type):
    """An inference container hands over text or bytes, depending on the content type."""
    serve = _served(aws.read(trained.variables["model_s3_uri"]), tmp_path)
    lines = [{"inputs": "a moving , wonderful film ."}, {"inputs": "the plot is dull and the cast boring , flat ."}]
    body = "".join(f"{json.dumps(line)}\n" for line in lines)
    answer = serve(body if as_type is str else body.encode(), "application/jsonlines", "application/jsonlines")
    records = [json.loads(line) for line in answer.splitlines()]
    assert [record["label"] for record in records] == ["positive", "negative"]
    assert [0.5 <= record["score"] <= 1 for record in records] == [True, True]


@pytest.mark.local
def test_the_served_baseline_is_as_accurate_as_training_has_measured(aws, trained, tmp_path):
    serve = _served(aws.read(trained.variables["model_s3_uri"]), tmp_path)
    key = "datasets/text/SST2/sst2.test"
    lines = aws.read(f"s3://sagemaker-example-files-prod-{REGION}/{key}").decode().splitlines()[:1000]
    labels, sentences = zip(*(line.split(" ", 1) for line in lines), strict=True)
    body = "".join(f"{json.dumps({'inputs': sentence})}\n" for sentence in sentences)
    answer = serve(body, "application/jsonlines", "application/jsonlines").splitlines()
    right = [
        json.loads(line)["label"] == ("positive" if label == "1" else "negative")
        for label, line in zip(labels, answer, strict=True)
    ]
    assert sum(right) / len(right) == trained.variables["accuracy"]


@pytest.mark.local
def test_the_model_takes_and_gives_csv_too(aws, trained, tmp_path):
    serve = _served(aws.read(trained.variables["model_s3_uri"]), tmp_path)
    answer = serve(
        '"a moving , wonderful film ."\ndull and boring\n', "text/csv; charset=utf-8", "text/csv"
    ).splitlines()
    assert [line.split(",")[0] for line in answer] == ["positive", "negative"]


@pytest.mark.local
def test_a_content_type_that_the_model_does_not_know_is_refused_with_those_it_knows(aws, trained, tmp_path):
    serve = _served(aws.read(trained.variables["model_s3_uri"]), tmp_path)
    with pytest.raises(ValueError, match="'image/png' is not supported; send one of: application/jsonlines"):
        serve(b"", "image/png", "*/*")
    with pytest.raises(ValueError, match="cannot answer with 'image/png'"):
        serve('{"inputs": "dull"}', "application/json", "image/png")


def _served(archive_body: bytes, folder: Path) -> Any:
    """Unpack an artifact and return what a container makes of its ``code/inference.py``."""
    with tarfile.open(fileobj=io.BytesIO(archive_body), mode="r:gz") as archive:
        archive.extractall(folder, filter="data")
    spec = importlib.util.spec_from_file_location("inference", folder / "code" / "inference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.model_fn(str(folder))

    def serve(body: str | bytes, content_type: str, accept: str) -> str:
        return module.output_fn(module.predict_fn(module.input_fn(body, content_type), model), accept)

    return serve


@pytest.mark.local
def test_a_nightly_report_is_that_of_its_day_whatever_the_order(aws, tmp_path):
    """What its DAG gives it, and the HTML beside it, are shown in ``test_samples_run``, in the full tier."""
    variables = ("day", "order_count", "revenue", "revenue_by_country")
    days = ("2026-01-03", "2026-01-02", "2026-01-03")
    runs = [
        execute_as_program("nightly-report.ipynb", {"day": day}, variables, aws=aws, folder=tmp_path) for day in days
    ]
    assert [run.exit_code for run in runs] == [0, 0, 0], runs[0].said
    later, earlier, again = (run.variables for run in runs)
    assert later == again != earlier
    assert [each["day"] for each in (later, earlier)] == ["2026-01-03", "2026-01-02"]
    assert later["revenue"] != earlier["revenue"]
    for each in (later, earlier):
        assert set(each["revenue_by_country"]) == {"DE", "FR", "US"}
        assert sum(each["revenue_by_country"].values()) == pytest.approx(each["revenue"], abs=0.02)


@pytest.mark.local
def test_an_unknown_model_is_refused_with_the_models_there_are(aws, tmp_path):
    parameters = {"train_s3_uri": "s3://acme/x/train.csv", "model_name": "bert-huge"}
    expected = "ValueError: model_name 'bert-huge' is not available; choose one of: bert-base-cased, tiny, baseline"
    assert expected in execute_as_program("training.ipynb", parameters, aws=aws, folder=tmp_path).said


@pytest.mark.local
@pytest.mark.skipif(HAS_TRANSFORMERS, reason="PyTorch, Transformers and Accelerate are installed here")
def test_without_the_packages_that_bert_needs_the_error_names_the_extra_and_the_model_that_needs_none(
    aws, prepared, tmp_path
):
    parameters = {"train_s3_uri": prepared.variables["train_s3_uri"]}  # the notebook's own model, bert-base-cased
    said = execute_as_program("training.ipynb", parameters, aws=aws, folder=tmp_path).said
    assert "needs PyTorch, Transformers and Accelerate" in said
    assert "pip install 'airflow-nbjobs[bert]'" in said
    assert "model_name 'baseline', which needs none of them" in said


@pytest.mark.local
@pytest.mark.slow
@pytest.mark.skipif(not HAS_TRANSFORMERS, reason="needs the extra bert: pip install 'airflow-nbjobs[bert]'")
def test_tiny_learns_without_a_hub_and_serves_what_it_learned(aws, prepared, tmp_path):
    """What it learns shows in the accuracy: untrained it is 0.5, and the sentences are our own (no measure of BERT)."""
    offline = Aws(aws.client, aws.environment | {"HF_HUB_OFFLINE": "1"})
    parameters = {"train_s3_uri": prepared.variables["train_s3_uri"], "model_name": "tiny"}
    run = execute("training.ipynb", parameters, TRAINED, aws=offline, folder=tmp_path)
    assert run.exit_code == 0, run.log
    assert run.variables["accuracy"] > 0.7

    _assert_it_is_served(aws, run, offline, tmp_path)


@pytest.mark.local
@pytest.mark.slow
@pytest.mark.skipif(not HAS_TRANSFORMERS, reason="needs the extra bert: pip install 'airflow-nbjobs[bert]'")
def test_published_weights_are_loaded_by_their_name_and_fine_tuned(aws, prepared, tmp_path):
    """As on SageMaker, but for the hub: Transformers takes a folder of the model's name for the model. Its weights are random here."""
    offline = Aws(aws.client, aws.environment | {"HF_HUB_OFFLINE": "1"})
    _run_python(PUBLISHED, str(tmp_path / "bert-base-cased"), offline.environment, tmp_path)
    parameters = {"train_s3_uri": prepared.variables["train_s3_uri"], "epochs": 1}
    run = execute("training.ipynb", parameters, TRAINED, aws=offline, folder=tmp_path)
    assert run.exit_code == 0, run.log
    assert "/models/bert-base-cased/" in run.variables["model_s3_uri"]
    _assert_it_is_served(aws, run, offline, tmp_path, labels={"positive", "negative"})


def _assert_it_is_served(aws: Aws, run: Run, offline: Aws, tmp_path: Path, *, labels: set[str] | None = None) -> None:
    """:param labels: of a model that has learned too little for the right ones: those it may give."""
    body = aws.read(run.variables["model_s3_uri"])
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
        names = set(archive.getnames())
    needed = {"config.json", "model.safetensors", "tokenizer.json", "code/inference.py", "metadata.json"}
    assert needed - names == set()
    (tmp_path / "artifact.tar.gz").write_bytes(body)
    # In a process of its own: importing torch here would put its warnings into every test of this one.
    answer = _run_python(SERVE, str(tmp_path / "artifact.tar.gz"), offline.environment, tmp_path)
    said = [record["label"] for record in answer]
    assert len(said) == 2
    assert set(said) <= labels if labels else said == ["positive", "negative"]


# What the hub would send, without its weights: a model of another head, its tokenizer, by BERT's own classes.
PUBLISHED = """
import sys
from pathlib import Path
import transformers
folder = Path(sys.argv[1])
folder.mkdir()
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
(folder / "vocab.txt").write_text("\\n".join(words))
transformers.BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False).save_pretrained(folder)
config = transformers.BertConfig(vocab_size=len(words), hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=128)
transformers.BertForMaskedLM(config).save_pretrained(folder)
"""

SERVE = """
import json, sys, tarfile
with tarfile.open(sys.argv[1]) as archive:
    archive.extractall("served", filter="data")
sys.path.insert(0, "served/code")
import inference
model = inference.model_fn("served")
body = '{"inputs": "a moving , wonderful film and a clever cast ."}\\n{"inputs": "the plot is dull and the cast boring , flat ."}'
print(inference.output_fn(inference.predict_fn(inference.input_fn(body, "application/jsonlines"), model), "application/jsonlines"))
"""


def _run_python(code: str, argument: str, environment: dict[str, str], folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", code, argument],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
