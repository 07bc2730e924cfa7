"""The study's self-paired controls: their names, their methods and their hyperparameters."""

from importlib import import_module

import pytest

from cell_synergy import models
from cell_synergy.core.config import read_param, read_section
from cell_synergy.core.names import CONTROLS, UNIMODAL, is_control, self_paired
from cell_synergy.training.self_paired import SelfPaired


def model(name):
    return import_module(f"cell_synergy.models.{name}").Model


CONTROL = [name for name in models.names() if issubclass(model(name), SelfPaired)]


def test_the_focal_method_and_simclr_have_one_for_each_expert():
    assert {*CONTROL} >= {
        self_paired(method, expert)
        for method in (read_param("method"), "simclr")
        for expert in UNIMODAL
    }


def test_what_is_named_like_one_is_one_and_conversely():
    """A method of another kind with such a name would be left out of every comparison."""
    named = {name for name in models.names() if is_control(name)} - {*CONTROLS}
    assert named == {*CONTROL}


@pytest.mark.parametrize("name", CONTROL)
def test_its_name_says_method_and_expert(name):
    method, _, expert = name.rpartition("_")
    assert model(name).expert == expert
    assert issubclass(model(name), model(method))


@pytest.mark.parametrize("name", CONTROL)
def test_its_hyperparameters_are_those_of_the_method(name):
    method = name.rpartition("_")[0]
    assert read_section(f"models.{name}") == read_section(f"models.{method}")
