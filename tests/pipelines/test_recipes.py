"""The named recipes: complete, valid, and the same after a journey as JSON."""

from __future__ import annotations

import re

import pytest

from components.recipe import parse_recipe
from models.config import ConvolutionalSettings, GanSettings, MlpSettings
from models.errors import ConfigurationError
from pipelines.cost import estimate
from pipelines.recipes import RECIPES, recipe_by_name


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_bears_its_name_and_comes_back_from_json(name: str) -> None:
    recipe = recipe_by_name(name)
    assert recipe.name == name
    assert recipe.description
    assert parse_recipe(recipe.model_dump_json()) == recipe
    assert RECIPES[name].__doc__


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_called_anew_each_time_and_hashes_the_same(name: str) -> None:
    assert recipe_by_name(name).sha256 == recipe_by_name(name).sha256
    assert len({recipe_by_name(other).sha256 for other in RECIPES}) == len(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_asks_something_of_its_model(name: str) -> None:
    gate = recipe_by_name(name).gate
    assert any(
        limit is not None
        for limit in (gate.frechet_floor_multiple, gate.smallest_mode_share, gate.reconstruction_mean_squared_error)
    )


@pytest.mark.parametrize("name", RECIPES)
def test_networks_fit_the_data(name: str) -> None:
    recipe = recipe_by_name(name)
    kind = MlpSettings if recipe.data.source.startswith("mixture:") else ConvolutionalSettings
    networks = (
        (recipe.model.generator, recipe.model.discriminator)
        if isinstance(recipe.model, GanSettings)
        else (recipe.model.encoder, recipe.model.decoder)
    )
    assert all(isinstance(network, kind) for network in networks)


def test_an_autoencoder_is_not_asked_for_samples_of_a_prior() -> None:
    gate = recipe_by_name("digits-ae").gate
    assert (gate.frechet_floor_multiple, gate.smallest_mode_share, gate.mode_kl_samples_to_data_nats) == (
        None,
        None,
        None,
    )


@pytest.mark.parametrize(("name", "nearest"), [("digits-gann", "digits-gan"), ("ringgan", "ring-gan")])
def test_an_unknown_recipe_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as raised:
        recipe_by_name(name)
    assert nearest in raised.value.remedy


def test_a_name_like_none_lists_them_all() -> None:
    with pytest.raises(ConfigurationError) as raised:
        recipe_by_name("?")
    assert all(re.search(rf"\b{name}\b", raised.value.remedy) for name in RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_more_images_cost_more(name: str) -> None:
    recipe = recipe_by_name(name)
    longer = recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"images_seen": 10 * recipe.training.images_seen})}
    )
    assert 0 < estimate(recipe).seconds < estimate(longer).seconds
    assert estimate(recipe).disk_bytes > 0
