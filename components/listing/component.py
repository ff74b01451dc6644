"""KFP adapter of the listing step."""

from typing import List, NamedTuple

from kfp import dsl

from components.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def list_source(
    recipe: str,
    data_source: str,
    seed: int,
    images_seen: int,
    gate_limits: dict,
    model_name: str,
    automatic_promotion: bool,
    nodes: int,
    accelerator_count: int,
    accelerator_type: str,
    training_cpus: str,
    training_memory: str,
    tolerations: list,
    node_selector: dict,
    overrides: dict,
    registers: bool,
    resolved_recipe: dsl.Output[dsl.Artifact],
) -> NamedTuple(
    "Listed",
    recipe=str,
    data=str,
    training=str,
    extractor=str,
    gate=str,
    seed=int,
    model_name=str,
    automatic_promotion=bool,
    digest=str,
    accelerator_type=str,
    accelerators=str,
    cpus=str,
    memory=str,
    machines=str,
    Output=List[str],  # the shares; kfp.local loops over an output of this name only
):
    """Resolve the recipe and list the source; nothing is read yet."""
    from collections import namedtuple
    from pathlib import Path

    from components.listing.core import resolve_recipe
    from components.listing.sizes import machines_of, sizes_of_step
    from components.prepare.listing import listing_digest
    from components.prepare.partition import shares_of
    from components.step import say, step
    from components.tracking import vanishes_with_pod

    with step(resolved_recipe):
        if registers and vanishes_with_pod():  # said before hours of training, not after them
            say(
                "no MLflow server is named (--tracking-uri): the version becomes an artifact of this run, and none serves from there"
            )
        typed = {
            "data.source": data_source,
            "seed": seed,
            "training.images_seen": images_seen,
            "promotion.model_name": model_name,
            "promotion.automatic": automatic_promotion,
            "resources.nodes": nodes,
            # One process for each GPU that is asked for: fewer would leave some of them idle.
            **(
                {
                    "resources.processes_per_node": accelerator_count,
                    "resources.accelerators_per_node": accelerator_count,
                }
                if accelerator_count
                else {}
            ),
            **{f"gate.{name}": value for name, value in gate_limits.items()},
        }
        resolved = resolve_recipe(recipe, typed, overrides)
        Path(resolved_recipe.path).write_text(resolved.model_dump_json(indent=2))
        digest = listing_digest(resolved.data)
        values = {
            "recipe": resolved.model_dump_json(),
            "data": resolved.data.model_dump_json(),
            "training": resolved.for_training().model_dump_json(),
            "extractor": resolved.extractor.model_dump_json(),
            "gate": resolved.gate.model_dump_json(),
            "seed": resolved.seed,
            "model_name": resolved.model_name,
            "automatic_promotion": resolved.promotion.automatic,
            "digest": digest,
            # By this task and no parameters of the graph: the compiler leads those past the exit handler's group.
            "accelerator_type": accelerator_type,
            **sizes_of_step(
                resolved.resources.nodes, resolved.resources.accelerators_per_node, training_cpus, training_memory
            ),
            "machines": machines_of(
                resolved.resources.nodes,
                cpus=training_cpus,
                memory=training_memory,
                accelerator_type=accelerator_type,
                tolerations=tolerations,
                node_selector=node_selector,
            ),
            "Output": [share.model_dump_json() for share in shares_of(resolved.data, digest)],
        }
    return namedtuple("Listed", values)(**values)
