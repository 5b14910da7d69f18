"""Models of the embedded SageMaker: created, listed, refused and forgotten."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from batch_jobs import archive, refusal

from airflow_nbjobs.local.platform.storage import ArchiveError, unpack
from airflow_nbjobs.local.state.models import image_family

if TYPE_CHECKING:
    from pathlib import Path

    from batch_jobs import BatchJobs


@pytest.mark.local
def test_a_model_is_described_and_listed_as_it_was_made(batch: BatchJobs) -> None:
    batch.create_model()
    document = batch.sagemaker.describe_model(ModelName=batch.name)
    assert document["ModelArn"].endswith(f":model/{batch.name}")
    assert document["PrimaryContainer"]["ModelDataUrl"] == batch.uri("model.tar.gz")
    assert document["PrimaryContainer"]["Mode"] == "SingleModel"
    listed = batch.sagemaker.list_models(NameContains=batch.name)["Models"]
    assert [model["ModelArn"] for model in listed] == [document["ModelArn"]]


@pytest.mark.local
def test_a_models_name_is_free_again_once_it_is_deleted(batch: BatchJobs) -> None:
    batch.create_model()
    code, message = refusal(batch.sagemaker.create_model, **batch.model_request())
    assert (code, message.split('"')[0]) == ("ValidationException", "Cannot create already existing model ")
    batch.sagemaker.delete_model(ModelName=batch.name)
    code, message = refusal(batch.sagemaker.describe_model, ModelName=batch.name)
    assert (code, message.split('"')[0]) == ("ValidationException", "Could not find model ")
    assert refusal(batch.sagemaker.delete_model, ModelName=batch.name)[0] == "ValidationException"
    batch.create_model()


@pytest.mark.local
def test_a_model_has_tags(batch: BatchJobs) -> None:
    request = batch.model_request({"code/inference.py": ""})
    arn = batch.sagemaker.create_model(**request, Tags=[{"Key": "team", "Value": "a"}])["ModelArn"]
    batch.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "b"}])
    tags = batch.sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "team", "Value": "a"}, {"Key": "stage", "Value": "b"}]
    too_many = [{"Key": f"k{number}", "Value": ""} for number in range(49)]
    assert refusal(batch.sagemaker.add_tags, ResourceArn=arn, Tags=too_many)[0] == "ResourceLimitExceeded"


@pytest.mark.local
@pytest.mark.parametrize("what", ["model", "transform_job", "processing_job"])
@pytest.mark.parametrize(
    ("keys", "words"), [(("a", "a"), "Duplicate tag key"), (("AWS:team",), "must not start with the reserved prefix")]
)
def test_a_tag_that_aws_does_not_take_is_refused_with_all_that_has_tags(
    batch: BatchJobs, what: str, keys: tuple[str, ...], words: str
) -> None:
    request = getattr(batch, f"{what.removesuffix('_job')}_request")()
    tags = [{"Key": key, "Value": str(number)} for number, key in enumerate(keys)]
    code, message = refusal(getattr(batch.sagemaker, f"create_{what}"), **request, Tags=tags)
    assert (code, words in message) == ("ValidationException", True)


@pytest.mark.local
def test_an_image_that_is_not_supported_is_refused_with_those_that_are(batch: BatchJobs) -> None:
    request = batch.model_request(repository="tensorflow-inference:2.16-cpu")
    code, message = refusal(batch.sagemaker.create_model, **request)
    assert code == "ValidationException"
    assert "'tensorflow-inference'" in message
    assert "huggingface-*-inference, pytorch-inference and sagemaker-scikit-learn" in message


@pytest.mark.local
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Image": "python:3.11"}, 'Using non-ECR image "python:3.11"'),
        ({"Image": "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-inference:2"}, "of another region"),
        (
            {"ModelDataUrl": "s3://no-such-bucket/model.tar.gz"},
            "Could not find model data at s3://no-such-bucket/model.tar.gz.",
        ),
        ({"Mode": "MultiModel"}, "does not support PrimaryContainer.Mode MultiModel"),
        ({"ModelPackageName": "package/1"}, "does not support PrimaryContainer.ModelPackageName"),
    ],
    ids=["no registry", "another region", "no archive", "many models", "package"],
)
def test_a_container_that_cannot_be_served_is_refused(batch: BatchJobs, changes: dict[str, Any], words: str) -> None:
    request = batch.model_request()
    request["PrimaryContainer"] |= changes
    code, message = refusal(batch.sagemaker.create_model, **request)
    assert code == "ValidationException"
    assert words in message


@pytest.mark.local
def test_a_role_that_does_not_exist_is_refused(batch: BatchJobs) -> None:
    request = {**batch.model_request(), "ExecutionRoleArn": "arn:aws:iam::123456789012:role/nobody"}
    assert refusal(batch.sagemaker.create_model, **request)[1].startswith("Could not assume role")


@pytest.mark.local
def test_a_name_over_the_limit_is_refused_in_the_services_words(batch: BatchJobs) -> None:
    request = {**batch.model_request(), "ModelName": "m" * 64}
    code, message = refusal(batch.sagemaker.create_model, **request)
    assert code == "ValidationException"
    assert "Member must have length less than or equal to 63" in message


@pytest.mark.parametrize(
    ("repository", "family"),
    [
        ("huggingface-pytorch-inference:2.6.0-transformers4.49.0-cpu", "huggingface"),
        ("huggingface-pytorch-inference-neuronx:2", "huggingface"),
        ("pytorch-inference@sha256:0", "pytorch"),
        ("sagemaker-scikit-learn:1.2-1-cpu-py3", "sklearn"),
        ("pytorch-training:2.6", None),
        ("huggingface-pytorch-training:2.6", None),
        ("sagemaker-xgboost:1.7", None),
    ],
)
def test_the_repository_says_whose_conventions_an_image_follows(repository: str, family: str | None) -> None:
    assert image_family(f"763104351884.dkr.ecr.eu-west-1.amazonaws.com/{repository}") == family


def test_an_archive_is_unpacked_with_its_folders(tmp_path: Path) -> None:
    file = tmp_path / "model.tar.gz"
    file.write_bytes(archive({"weights.bin": b"1", "code/inference.py": "x = 1"}))
    assert unpack(file, tmp_path / "model") == 2
    assert (tmp_path / "model/code/inference.py").read_text() == "x = 1"


@pytest.mark.parametrize("name", ["../escape", "/etc/escape", "code/../../escape"])
def test_a_member_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "model.tar.gz"
    file.write_bytes(archive({name: b"1"}))
    with pytest.raises(ArchiveError, match="leaves the folder"):
        unpack(file, tmp_path / "model")
    assert not (tmp_path / "escape").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("real"), io.BytesIO(b""))
        member = tarfile.TarInfo("other")
        member.type, member.linkname = kind, "real"
        tar.addfile(member)
    file = tmp_path / "model.tar.gz"
    file.write_bytes(data.getvalue())
    with pytest.raises(ArchiveError, match="'other' is neither a file nor a folder"):
        unpack(file, tmp_path / "model")


def test_an_archive_over_a_limit_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    file = tmp_path / "model.tar.gz"
    file.write_bytes(archive({"zeros": bytes(1 << 20)}))
    with pytest.raises(ArchiveError, match="more than"):
        unpack(file, tmp_path / "model", max_bytes=1000)
    assert not (tmp_path / "model/zeros").exists()
    file.write_bytes(archive({str(number): b"" for number in range(5)}))
    with pytest.raises(ArchiveError, match="more than 3 members"):
        unpack(file, tmp_path / "model", max_members=3)


def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "model.tar.gz"
    file.write_bytes(b"weights")
    with pytest.raises(ArchiveError, match=r"not a readable \.tar\.gz"):
        unpack(file, tmp_path / "model")
