"""Settings that may come from the environment."""

from __future__ import annotations

import pickle

import pytest

import dispatch
from dispatch.config import NamedValueFromEnvironment
from dispatch.id import DispatchID

VARIABLE = "DISPATCH_TEST_SETTING"


def test_a_value_that_is_given_has_the_name_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "of the environment")
    setting = NamedValueFromEnvironment(VARIABLE, "setting", "given")
    assert (setting.name, setting.value, str(setting)) == ("setting", "given", "given")


def test_a_value_of_the_environment_has_the_name_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "of the environment")
    setting = NamedValueFromEnvironment(VARIABLE, "setting")
    assert (setting.name, setting.value) == (VARIABLE, "of the environment")


def test_a_setting_that_is_nowhere_is_empty_and_named_after_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    setting = NamedValueFromEnvironment(VARIABLE, "setting")
    assert (setting.name, setting.value) == (VARIABLE, "")


def test_an_empty_value_that_is_given_hides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "of the environment")
    setting = NamedValueFromEnvironment(VARIABLE, "setting", "")
    assert (setting.name, setting.value) == ("setting", "")


def test_a_value_of_the_environment_is_not_pickled_but_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "secret")
    pickled = pickle.dumps(NamedValueFromEnvironment(VARIABLE, "setting"))
    assert b"secret" not in pickled
    monkeypatch.setenv(VARIABLE, "another")
    setting = pickle.loads(pickled)
    assert (setting.name, setting.value) == (VARIABLE, "another")


def test_a_value_that_is_given_is_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "of the environment")
    setting = pickle.loads(pickle.dumps(NamedValueFromEnvironment(VARIABLE, "setting", "given")))
    assert (setting.name, setting.value) == ("setting", "given")


def test_a_value_that_is_set_replaces_that_of_the_environment_in_pickles_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "of the environment")
    setting = NamedValueFromEnvironment(VARIABLE, "setting")
    setting.value = "set"
    setting = pickle.loads(pickle.dumps(setting))
    assert (setting.name, setting.value) == ("setting", "set")


def test_the_state_of_a_pickle_has_four_parts() -> None:
    state = NamedValueFromEnvironment(VARIABLE, "setting", "given").__getstate__()
    assert state == (VARIABLE, "setting", "given", False)


def test_a_dispatch_id_is_text() -> None:
    assert DispatchID is str
    assert dispatch.DispatchID is DispatchID
