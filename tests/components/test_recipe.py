"""Recipes: overriding, precedence, identity."""

from __future__ import annotations

from typing import Any

import pytest

from components.recipe import Recipe, override, parse_override, parse_recipe, resolve
from models.config import AutoencoderSettings, ConvolutionalSettings, GanSettings, MlpSettings, VaeSettings
from models.errors import ConfigurationError

BASE = Recipe(name="base")


def test_an_override_changes_the_named_field_and_nothing_else() -> None:
    changed = override(BASE, {"training.images_seen": 5_000, "model.generator.base_channels": 8})
    assert changed.training.images_seen == 5_000
    assert isinstance(changed.model, GanSettings)
    assert changed.model.generator == ConvolutionalSettings(base_channels=8)
    assert override(changed, {"training.images_seen": 100_000, "model.generator.base_channels": 32}) == BASE


def test_an_override_by_nothing_is_the_same_recipe() -> None:
    assert override(BASE, {}) == BASE


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("training.image_seen", "images_seen"),
        ("modle.latent_size", "model"),
        ("model.generator.base_chanels", "base_channels"),
        ("gate.mode_kl_samples_to_data", "mode_kl_samples_to_data_nats"),
    ],
)
def test_an_unknown_field_names_the_nearest(path: str, nearest: str) -> None:
    with pytest.raises(ConfigurationError, match=path) as raised:
        override(BASE, {path: 1})
    assert nearest in raised.value.remedy


def test_a_path_below_a_single_value_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="single value"):
        override(BASE, {"training.images_seen.more": 1})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.images_seen", 0),
        ("training.images_seen", "many"),
        ("training.batch_size", 1),
        ("model.generator.base_channels", -1),
        ("gate.smallest_mode_share", 1.5),
        ("data.channels", 2),
        ("seed", -1),
        ("training", 3),
    ],
)
def test_a_value_out_of_range_names_its_field(path: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        override(BASE, {path: value})
    first = path.split(".")[0]
    assert first in raised.value.message
    if path != "data.channels":  # a rule of the whole group
        assert path in raised.value.message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ConfigurationError):
        override(BASE, {"gate.mode_kl_samples_to_data_nats": value})


@pytest.mark.parametrize("kind_first", [True, False])
def test_a_new_kind_takes_its_own_fields_whatever_their_order(kind_first: bool) -> None:
    changes = {"model.generator.kind": "mlp", "model.generator.hidden_width": 64}
    if not kind_first:
        changes = dict(reversed(changes.items()))
    model = override(BASE, changes).model
    assert isinstance(model, GanSettings)
    assert model.generator == MlpSettings(hidden_width=64)
    assert model.discriminator == ConvolutionalSettings()


def test_a_new_family_takes_fields_of_its_networks() -> None:
    changes = {"model.encoder.base_channels": 8, "model.decoder.kind": "mlp", "model.family": "vae", "model.beta": 2.0}
    model = override(BASE, changes).model
    assert model == VaeSettings(encoder=ConvolutionalSettings(base_channels=8), decoder=MlpSettings(), beta=2.0)
    assert override(BASE, {"model.family": "ae"}).model == AutoencoderSettings()


def test_naming_the_kind_that_is_there_keeps_the_fields() -> None:
    narrow = override(BASE, {"model.generator.base_channels": 8})
    assert override(narrow, {"model.generator.kind": "convolutional", "model.family": "gan"}) == narrow


def test_fields_of_the_old_kind_are_unknown_to_the_new_one() -> None:
    with pytest.raises(ConfigurationError, match="base_channels"):
        override(BASE, {"model.generator.kind": "mlp", "model.generator.base_channels": 8})


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.generator.*convolutional"):
        override(BASE, {"model.generator.kind": "nope"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training.images_seen=5", ("training.images_seen", 5)),
        ("data.source=mixture:ring8", ("data.source", "mixture:ring8")),
        ("data.source=folder:/a=b", ("data.source", "folder:/a=b")),
        ('data.excluded_classes=["4"]', ("data.excluded_classes", ["4"])),
        ("promotion.automatic=false", ("promotion.automatic", False)),
        ("gate.mode_kl_samples_to_data_nats=null", ("gate.mode_kl_samples_to_data_nats", None)),
        ("promotion.model_name=", ("promotion.model_name", "")),
        (" seed =7", ("seed", 7)),
    ],
)
def test_overrides_are_json_or_bare_text(text: str, expected: tuple[str, Any]) -> None:
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["seed", "=7", ""])
def test_an_override_without_path_or_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--set"):
        parse_override(text)


def test_typed_parameters_win_over_the_recipe_and_overrides_over_both() -> None:
    typed = {"seed": 3, "training.images_seen": BASE.training.images_seen}
    resolved = resolve(BASE, typed, {"training.images_seen": 700})
    assert resolved.seed == 3
    assert resolved.training.images_seen == 700


def test_a_conflict_names_the_field_and_both_values() -> None:
    with pytest.raises(ConfigurationError, match=r"seed.*3.*4"):
        resolve(BASE, {"seed": 3}, {"seed": 4})


def test_agreeing_twice_is_no_conflict() -> None:
    assert resolve(BASE, {"seed": 3}, {"seed": 3}).seed == 3


def test_an_unknown_typed_limit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"gate\.mode_kl_samples_to_data "):
        resolve(BASE, {"gate.mode_kl_samples_to_data ": 1}, {})


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"gate.mode_kl_samples_to_data_nats": 0.01}, True),
        ({"promotion.automatic": False}, True),
        ({"extractor.epochs": 3}, True),
        ({"data.shard_rows": 7}, True),
        ({"seed": 1}, False),
        ({"model.latent_size": 7}, False),
        ({"training.batch_size": 8}, False),
        ({"resources.processes_per_node": 2}, False),
    ],
)
def test_the_text_that_training_is_cached_on_changes_only_with_what_training_depends_on(
    changes: dict[str, Any], same: bool
) -> None:
    first, second = BASE.for_training(), override(BASE, changes).for_training()
    assert (first.model_dump_json() == second.model_dump_json()) is same


def test_the_hash_is_of_the_settings_and_not_of_their_spelling() -> None:
    spelled = parse_recipe(BASE.model_dump_json(indent=7))
    assert spelled == BASE
    assert spelled.sha256 == BASE.sha256
    assert override(BASE, {"seed": 1}).sha256 != BASE.sha256


@pytest.mark.parametrize("text", ['{"name": "Bad Name"}', "{}", "no json", '{"name": "a", "modle": {}}'])
def test_a_wrong_recipe_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_recipe(text)


def test_the_registered_name_is_the_recipes_unless_it_is_set() -> None:
    assert BASE.model_name == "base"
    assert override(BASE, {"promotion.model_name": "other"}).model_name == "other"
