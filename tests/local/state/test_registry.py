"""What exists: names are unique, what is gone frees its name, and a change that fails changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_nbjobs.local.state import registry as module
from airflow_nbjobs.local.state.models import Model, new_model
from airflow_nbjobs.local.state.registry import Registry
from airflow_nbjobs.local.wire.formats import ServiceError


@pytest.fixture
def models() -> Registry[Model]:
    return Registry(arn_prefix="arn:model/", unknown="no {name} at {arn}", taken=("InUse", "there is {arn}"))


def model(name: str, **fields: Any) -> Model:
    return replace(new_model({"ModelName": name}, arn=f"arn:model/{name}", now=1.0), **fields)


def test_what_was_added_is_found_by_name_and_arn(models: Registry[Model]) -> None:
    a, b = model("a"), model("b")
    models.add(a)
    models.add(b)
    assert (models.get("a"), models.all()) == (a, [a, b])
    assert models.by_arn("arn:model/b") is b
    assert models.by_arn("arn:model/c") is None
    assert models.arn("c") == "arn:model/c"


def test_a_name_is_taken_until_it_is_removed(models: Registry[Model]) -> None:
    models.add(model("a"))
    with pytest.raises(ServiceError, match="there is arn:model/a") as caught:
        models.add(model("a"))
    assert caught.value.code == "InUse"
    models.remove("a")
    models.add(model("a"))


@pytest.mark.parametrize("use", ["get", "remove"])
def test_an_unknown_name_is_said_to_be(models: Registry[Model], use: str) -> None:
    with pytest.raises(ServiceError, match="no x at arn:model/x") as caught:
        getattr(models, use)("x")
    assert caught.value.code == "ValidationException"
    with pytest.raises(ServiceError, match="no x at"):
        models.change("x", lambda one: one)


def test_a_change_returns_and_keeps_the_new_value_and_one_that_fails_the_old(models: Registry[Model]) -> None:
    models.add(model("a"))
    changed = models.change("a", lambda one: replace(one, modified=2.0))
    assert changed.modified == models.get("a").modified == 2.0

    def broken(_: Model) -> Model:
        raise ValueError("no such change")

    with pytest.raises(ValueError, match="no such change"):
        models.change("a", broken)
    assert models.get("a") is changed


def test_what_is_gone_frees_its_name(models: Registry[Model], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module, "time", type("Clock", (), {"time": staticmethod(lambda: now[0])}))
    models.add(model("a", gone_at=101.0))
    models.add(model("b"))
    assert [one.name for one in models.all()] == ["a", "b"]
    now[0] = 101.0
    assert [one.name for one in models.all()] == ["b"]
    with pytest.raises(ServiceError, match="no a at"):
        models.get("a")
    models.add(model("a"))
