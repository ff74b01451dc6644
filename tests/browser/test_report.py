"""The report in a real browser: it fits every screen, reaches nobody, and can be read in light and in dark."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup

from components.evaluate.documents import Check, Metric, Metrics, Verdict
from components.evaluate.pictures.exhibit import Exhibit, Figure
from components.evaluate.pictures.rates import code_rates
from components.evaluate.report import ReportInputs, WeakMode, render_report
from components.figures.heat import heat_map
from components.figures.pictures import grid
from tests.browser.chromium import Chromium

MEASURES = Path(__file__).with_name("measures.js").read_text(encoding="utf-8")
LONG = "a-name-without-any-place-to-break-it-" * 4
SCREENS = [(width, dark) for width in (360, 768, 1280) for dark in (False, True)]


def everything() -> str:
    """A page with every section, long names and large numbers."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (100, 28, 28, 1), dtype=np.uint8)
    small, large = grid(pictures[:8], 8), grid(pictures, 10)
    metrics = Metrics(
        family="vae",
        dataset_name=LONG,
        dataset_fingerprint="ab" * 32,
        extractor_sha256="cd" * 32,
        sampler_sha256="ef" * 32,
        frechet_floor=Metric(value=0.5, count=500),
        metrics={LONG: Metric(value=123456.789, interval=(-1e-9, 1e12), count=10**9, unit="nats per thing")},
        samples_sha256="01" * 32,
        mode_names=[f"{LONG}{index}" for index in range(12)],
        mode_shares=[1 / 12] * 12,
        real_mode_shares=[1 / 12] * 12,
        champion_version="12",
        champion_note=LONG,
        data={"left out": LONG},
        data_warnings=[LONG],
    )
    checks = [
        Check(name=name, value=1.5, interval=(1.0, 2.0), limit=1e-12, champion=3.0, passed=passed, reason=LONG)
        for name, passed in (("frechet_distance", True), (LONG, False))
    ]
    drawing = heat_map(
        "map", rng.uniform(0, 4, (15, 15)), (1, 1.5, 2, 3), rng.uniform(0, 1, (50, 2)), [(0.5, 0.5, 0.2)]
    )
    legend = ("up to 1", "1–1.5", "1.5–2", "2–3", "over 3")
    figure = Figure("a row of pictures", "Dimension 7: 1.2 nats", png=grid(pictures[:9], 9))
    return render_report(
        ReportInputs(
            title=f"{LONG}: failed",
            recipe_name=LONG,
            verdict=Verdict(passed=False, checks=checks, non_inferior=False, limits_source=LONG),
            metrics=metrics,
            sample_picture=large,
            real_picture=large,
            weakest_modes=[WeakMode(f"{LONG}{index}", 0.01, 0.1, small, small) for index in range(3)],
            reconstruction_picture=large,
            neighbours=Exhibit(
                "Neighbours", LONG, [Figure("a pair", "× 0.97", png=grid(pictures[:2], 1))] * 12, "strip"
            ),
            latent_space=[
                Exhibit("One picture", LONG, [dataclasses.replace(figure, png=grid(pictures[:36], 9))]),
                Exhibit("Rows", LONG, [figure] * 8, "pair"),
                Exhibit("Holes", LONG, [figure, Figure("map", LONG, svg=Markup(drawing), legend=legend)], "pair"),
                code_rates(rng.normal(size=(50, 20)), rng.normal(-2, 1, (50, 20))),
            ],
            history=[
                {"images_seen": 1e5 * step, "loss": 9e9 / step, "kl_nats": 1.0, LONG: 1.0, "kl_from_mean/00": 1.0}
                for step in range(1, 9)
            ],
            events=[{"images_seen": 10**9, "event": LONG, "text": LONG}],
            lineage={LONG: LONG},
            settings_json=f'{{"{LONG}": "{LONG}"}}',
        )
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Where a page lies: one with everything in it, or the report of a family's real run."""
    directory = tmp_path_factory.mktemp("pages")

    def find(name: str) -> Path:
        if name != "everything":
            return Path(request.getfixturevalue("tiny")(name).report / "report.html")
        file = directory / "everything.html"
        file.write_text(everything(), encoding="utf-8")
        return file

    return find


@pytest.mark.parametrize("name", ["everything", "vae", "ring"])
def test_the_report_can_be_read_on_every_screen(chromium: Chromium, page: Callable[[str], Path], name: str) -> None:
    file = page(name)
    for width, dark in SCREENS:
        chromium.look(width, dark=dark)
        chromium.open(file)
        seen = chromium.evaluate(MEASURES)
        where = f"{name} at {width} pixels, {'dark' if dark else 'light'}"
        assert seen["overflow"] == 0 and seen["wide"] == [], where
        assert seen["dim"] == [], where
        assert seen["cropped"] == [], where
        assert seen["texts"] > 50
        assert all(picture["loaded"] and picture["alt"] and picture["shown"] > 0 for picture in seen["pictures"]), where
        assert all(seen["drawings"])
        assert seen["headings"][0] == 1 and seen["headings"].count(1) == 1
        assert all(following <= heading + 1 for heading, following in pairwise(seen["headings"])), seen["headings"]
        asked = [address for address in chromium.requested() if not address.startswith("data:image/png;base64,")]
        assert asked == [file.as_uri()], where
        assert chromium.complaints() == [], where


def test_a_darker_screen_gets_a_darker_page(chromium: Chromium, page: Callable[[str], Path]) -> None:
    grounds = []
    for dark in (False, True):
        chromium.look(1280, dark=dark)
        chromium.open(page("everything"))
        grounds.append(chromium.evaluate("getComputedStyle(document.body).backgroundColor"))
    light, dark_ground = (sum(map(int, ground[4:-1].split(","))) for ground in grounds)
    assert light > 600 > 150 > dark_ground


@pytest.mark.parametrize(
    ("fault", "seen_as"),
    [
        ('<p style="width: 2000px">wide</p>', "overflow"),
        ('<p style="color: #999; background: #fff">pale</p>', "dim"),
        ('<svg width="50" height="20"><text y="15" style="fill: #888">pale</text></svg>', "dim"),
        ('<svg width="50" height="20"><text y="15">cut off on the right</text></svg>', "cropped"),
        ('<img src="data:image/png;base64,AAAA" alt="broken">', "broken"),
        ('<img src="http://127.0.0.1:9/x.png" alt="elsewhere">', "requested"),
        ("<script>console.error('loud')</script>", "complaints"),
        ("<p>sound</p>", "nothing"),
    ],
)
def test_each_fault_would_be_seen(chromium: Chromium, tmp_path: Path, fault: str, seen_as: str) -> None:
    """The measures' own negative controls."""
    file = tmp_path / "faulty.html"
    file.write_text(f'<!doctype html><html lang="en"><body><h1>page</h1>{fault}</body></html>', encoding="utf-8")
    chromium.look(768, dark=False)
    chromium.open(file)
    seen: dict[str, Any] = chromium.evaluate(MEASURES)
    found = {
        "overflow": seen["overflow"] > 0 and seen["wide"] != [],
        "dim": seen["dim"] != [],
        "cropped": seen["cropped"] != [],
        "broken": any(not picture["loaded"] for picture in seen["pictures"]),
        "requested": any(address.startswith("http") for address in chromium.requested()),
        "complaints": any("loud" in text for text in chromium.complaints()),
    }
    assert {name for name, value in found.items() if value} >= ({seen_as} - {"nothing"})
    if seen_as == "nothing":
        assert not any(found.values()) and chromium.complaints() == []
