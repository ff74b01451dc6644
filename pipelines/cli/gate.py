"""``ganvas gate``: limits from the data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.console import PEOPLE, print_json, print_table
from pipelines.cli.options import JsonOption, RecipeOption, SetOption, resolved

gate = typer.Typer(no_args_is_help=True, help="The gate's limits.")


@gate.command("calibrate")
def calibrate(
    data: Annotated[Path, typer.Option(help="A finished Dataset.")],
    recipe: RecipeOption = "digits-gan",
    changes: SetOption = None,
    extractor: Annotated[Path | None, typer.Option(help="A finished Extractor; by default one is fitted.")] = None,
    trials: Annotated[int, typer.Option(min=5, help="Random halves of the held-out data.")] = 40,
    slack: Annotated[float, typer.Option(help="Room above what real data gets.")] = 3.0,
    out: Annotated[Path | None, typer.Option(help="File for the limits, for `ganvas evaluate --limits`.")] = None,
    json: JsonOption = False,
) -> None:
    """Propose limits from what real data gets against real data."""
    import tempfile

    from components.artifacts import write_bytes_atomically
    from components.evaluate.calibrate import calibrate as proposed_limits
    from components.extractor.core import fit_extractor

    chosen = resolved(recipe, changes or [])
    with tempfile.TemporaryDirectory() as work:
        if extractor is None:
            extractor = Path(work) / "extractor"
            fit_extractor(chosen.extractor, chosen.seed, data, extractor)
        limits, proposals = proposed_limits(data, extractor, chosen.gate, trials=trials, slack=slack, seed=chosen.seed)
    text = limits.model_dump_json(indent=2, exclude_none=True) + "\n"
    if out is not None:
        write_bytes_atomically(out, text.encode())
    if json:
        print_json(limits.model_dump(mode="json", exclude_none=True))
        return
    from rich.table import Table

    table = Table("limit", "real data, typical", "worst", "proposed")
    for proposal in proposals:
        values = (proposal.typical, proposal.worst, proposal.proposed)
        table.add_row(proposal.limit, *(f"{value:.3g}" for value in values))
    print_table(table, to_people=True)
    where = f"Written to {out}: ganvas evaluate --limits {out}" if out else "Keep them with --out FILE."
    PEOPLE.print(f"The Fréchet distance is in units of the real-vs-real floor. {where}", soft_wrap=True)
