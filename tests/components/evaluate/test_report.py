"""Laws of the report: self-contained, deterministic, complete, escaped, and never "nan"."""

from __future__ import annotations

import dataclasses
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from markupsafe import Markup

from components.evaluate.curves import training_curves
from components.evaluate.documents import Check, Metric, Metrics, Verdict
from components.evaluate.floors import frechet_in_floors
from components.evaluate.markdown import render_markdown
from components.evaluate.page import neglected_centers
from components.evaluate.pictures.exhibit import Exhibit, Figure
from components.evaluate.report import ReportInputs, WeakMode, render_report
from components.evaluate.words import number, plain_words
from components.figures.charts import Ceiling, Series, bar_chart, compact, line_chart, nice_ticks
from components.figures.pictures import grid
from components.prepare.manifest import Manifest, MixtureParameters

ATTACK = "<script>alert('x')</script>\"><img src=http://evil.example/x onerror=alert(1)>"
PICTURE = grid(np.zeros((4, 8, 8, 1), dtype=np.uint8), 2)


def check(name: str, *, passed: bool, value: float | None = 0.5, reason: str = "") -> Check:
    return Check(
        name=name,
        value=value,
        interval=(0.4, 0.6) if value is not None else None,
        limit=0.7,
        champion=None,
        passed=passed,
        reason=reason or f"reason of {name}",
    )


def verdict(*checks: Check) -> Verdict:
    return Verdict(
        passed=all(one.passed for one in checks),
        checks=list(checks),
        non_inferior=True,
        limits_source="recipe",
    )


FAILED = verdict(
    check("frechet_distance", passed=True, value=3.0),
    check("smallest_mode_share", passed=False, reason="only 1 % are of mode 4"),
    check("mode_kl_samples_to_data", passed=False, value=None, reason="too few rows"),
)
METRICS = Metrics(
    family="gan",
    dataset_name="digits",
    dataset_fingerprint="ab" * 32,
    extractor_sha256="cd" * 32,
    sampler_sha256="ef" * 32,
    frechet_floor=Metric(value=0.5, count=500),
    metrics={
        "frechet_distance": Metric(value=3.0, interval=(2.5, 3.5), count=1000),
        "mode_kl_samples_to_data": Metric(value=None, count=7),
        "modes_covered": Metric(value=None, count=7),
    },
    samples_sha256="01" * 32,
    mode_names=["zero", "one"],
    mode_shares=[0.9, 0.1],
    real_mode_shares=[0.5, 0.5],
)
HISTORY = [
    {"images_seen": 100.0 * step, "discriminator_loss": 1.0 / step, "generator_loss": float(step)}
    | ({"jsd_bound_train": 0.3, "jsd_bound_held_out": 0.2} if step % 5 == 0 else {})
    for step in range(1, 40)
]
INPUTS = ReportInputs(
    title="digits-gan",
    recipe_name="digits-gan",
    verdict=FAILED,
    metrics=METRICS,
    sample_picture=PICTURE,
    real_picture=PICTURE,
    weakest_modes=[WeakMode("four", 0.01, 0.1, PICTURE, PICTURE)],
    reconstruction_picture=PICTURE,
    history=HISTORY,
    lineage={"run": "runs/1", "recipe_sha256": "12" * 32, "pipeline_run_id": ""},
    settings_json='{"name": "digits-gan"}',
)
EXHIBIT = Exhibit("a heading", "what to look for", [Figure("a picture", "its caption", png=PICTURE)])
VAE_INPUTS = dataclasses.replace(
    INPUTS,
    metrics=METRICS.model_copy(update={"family": "vae"}),
    history=[{"images_seen": 1.0, "loss": 3.0, "kl_nats": 1.0, "reconstruction_nats": 2.0, "held_out_loss": 4.0}],
)


class Page(HTMLParser):
    """Tags with their attributes, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.mark.parametrize("inputs", [INPUTS, VAE_INPUTS, dataclasses.replace(INPUTS, history=[], weakest_modes=[])])
def test_the_page_is_self_contained_and_well_formed(inputs: ReportInputs) -> None:
    html = render_report(inputs)
    page = Page(html)
    assert page.open == []
    assert "//" not in re.sub(r'"data:image/png;base64,[^"]*"', "", html)
    assert "@import" not in html and "url(" not in html
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "base", "a", "form"}
        assert not any(name.startswith("on") for name in attributes)
        if "src" in attributes:
            assert (attributes["src"] or "").startswith("data:image/png;base64,")


def test_same_inputs_same_characters() -> None:
    assert render_report(INPUTS) == render_report(dataclasses.replace(INPUTS))
    assert render_markdown(FAILED, METRICS) == render_markdown(FAILED, METRICS)


def test_the_datas_facts_and_warnings_are_shown_and_escaped() -> None:
    data = {"source": f"folder:{ATTACK}", "left out": "3 × truncated"}
    metrics = METRICS.model_copy(update={"data": data, "data_warnings": ["Classes are unequal.", ATTACK]})
    page = Page(render_report(dataclasses.replace(INPUTS, metrics=metrics)))
    assert page.text.index("The data") < page.text.index("Classes are unequal.") < page.text.index("3 × truncated")
    assert page.text.count(ATTACK) == 2
    assert "The data" not in Page(render_report(INPUTS)).text


def test_what_training_warned_of_is_listed_the_latest_kept() -> None:
    events = [
        {"images_seen": 1_000 * number, "event": "mode-collapse", "text": f"why {number}"} for number in range(50)
    ]
    text = Page(render_report(dataclasses.replace(INPUTS, events=events))).text
    assert "why 49" in text and "why 20" in text and "why 19" not in text
    assert "49,000" in text and "The last 30 of 50." in text
    assert "Training gave no alarm." in Page(render_report(INPUTS)).text
    assert "no alarm" not in Page(render_report(dataclasses.replace(INPUTS, history=[]))).text


def test_a_failed_verdict_says_so_and_names_what_failed() -> None:
    text = " ".join(Page(render_report(INPUTS)).text.split())
    head = text[: text.index("Samples beside real data")]
    assert "✗ Failed" in head and "2 of 3 checks failed" in head
    assert plain_words("smallest_mode_share") in head and "only 1 % are of mode 4" in head
    assert plain_words("mode_kl_samples_to_data") in head and "too few rows" in head
    assert plain_words("frechet_distance") not in head


def test_a_passed_verdict_does_not_say_failed() -> None:
    passed = verdict(check("high_quality_share", passed=True), check("some_new_check", passed=True))
    text = Page(render_report(dataclasses.replace(INPUTS, verdict=passed))).text
    assert "✓ Passed" in text and "All 2 checks" in text and "Some new check" in text
    assert "ailed" not in text


def test_a_worse_model_than_the_champion_can_pass_and_both_are_said() -> None:
    worse = verdict(check("high_quality_share", passed=True), check("non_inferior_to_champion", passed=False))
    worse = worse.model_copy(update={"passed": True, "non_inferior": False})
    metrics = METRICS.model_copy(update={"champion_version": "7"})
    text = Page(render_report(dataclasses.replace(INPUTS, verdict=worse, metrics=metrics))).text
    assert "✓ Passed" in text and "Worse than the champion, version 7." in text
    assert "reason of non_inferior_to_champion" in text[: text.index("Samples beside")]


def test_neglected_modes_are_named_without_pictures_too() -> None:
    text = Page(render_report(dataclasses.replace(INPUTS, weakest_modes=[]))).text
    assert "1 of 2 modes have less than half" in text
    even = METRICS.model_copy(update={"mode_shares": [0.4, 0.6]})
    text = Page(render_report(dataclasses.replace(INPUTS, weakest_modes=[], metrics=even))).text
    assert "Every mode has at least half" in text


def test_lineage_tells_nothing_twice() -> None:
    lineage = {"dataset fingerprint": METRICS.dataset_fingerprint, "generator": METRICS.sampler_sha256}
    html = render_report(dataclasses.replace(INPUTS, lineage=lineage))
    for one in (METRICS.dataset_fingerprint, METRICS.sampler_sha256, METRICS.extractor_sha256):
        assert html.count(f'title="{one}"') == 1


def test_every_reason_appears() -> None:
    html, markdown = render_report(INPUTS), render_markdown(FAILED, METRICS)
    for one in FAILED.checks:
        assert one.reason in html and one.reason in markdown


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf])
def test_what_is_missing_is_a_dash_and_never_nan(bad: float | None) -> None:
    broken = FAILED.checks[0].model_copy(update={"value": bad, "interval": (0.0, bad), "limit": bad, "champion": bad})
    if bad is None:
        broken = broken.model_copy(update={"interval": None})
    metrics = METRICS.model_copy(
        update={
            "metrics": {"frechet_distance": Metric(value=1.0, count=3).model_copy(update={"value": bad})},
            "frechet_floor": METRICS.frechet_floor.model_copy(update={"value": bad}),
            "mode_shares": [0.5, math.nan if bad is None else bad],
        }
    )
    gap = math.nan if bad is None else bad
    inputs = dataclasses.replace(
        INPUTS,
        verdict=verdict(broken, *FAILED.checks[1:]),
        metrics=metrics,
        weakest_modes=[WeakMode("four", gap, gap, PICTURE, PICTURE)],
        history=[
            *HISTORY,
            {"images_seen": 5000.0, "generator_loss": gap},
            {"images_seen": 6000.0, "r1": gap},
        ],
    )
    html = render_report(inputs)
    visible = re.sub(r'"data:[^"]*"|<style>.*</style>', "", html, flags=re.DOTALL)
    for text in (visible, render_markdown(inputs.verdict, metrics)):
        assert re.search(r"\b(nan|NaN|inf|Infinity|None)\b", text) is None
        assert "–" in text and broken.reason in text
    assert number(bad) == "–"


def test_a_metric_without_value_comes_with_a_reason() -> None:
    text = Page(render_report(INPUTS)).text
    assert "could not be computed from 7 samples" in text
    assert text.count("too few rows") == 3  # verdict, check, metric


def test_the_page_tells_its_story_in_order() -> None:
    metrics = METRICS.model_copy(update={"data": {"source": "here"}})
    inputs = dataclasses.replace(INPUTS, metrics=metrics, neighbours=EXHIBIT, latent_space=[EXHIBIT])
    story = [
        "✗ Failed",
        "Samples beside real data",
        "What is missing",
        "How near to the training data",
        "Reconstructions",
        "The latent space",
        "Checks",
        "Fréchet distance",
        "Training",
        "Everything that was measured",
        "The data",
        "Where it comes from",
    ]
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", render_report(inputs)) == story
    bare = dataclasses.replace(INPUTS, reconstruction_picture=None)
    left_out = {"How near to the training data", "Reconstructions", "The latent space", "The data"}
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", render_report(bare)) == [one for one in story if one not in left_out]


def test_an_exhibit_shows_its_pictures_drawings_and_words() -> None:
    figures = [
        Figure("first alt", "first caption", png=PICTURE),
        Figure("", "second caption", svg=Markup(bar_chart("t", ["a"], {"s": [0.5]})), legend=("near", "far")),
    ]
    html = render_report(dataclasses.replace(INPUTS, latent_space=[Exhibit("heading", "note", figures, "pair")]))
    page = Page(html)
    assert [attributes["alt"] for tag, attributes in page.tags if tag == "img"].count("first alt") == 1
    assert html.count("<svg") == render_report(INPUTS).count("<svg") + 1
    for words in ("heading", "note", "first caption", "second caption", "near", "far"):
        assert words in page.text
    assert [attributes["class"] for tag, attributes in page.tags if tag == "li" and "class" in attributes] == [
        "heat-0",
        "heat-1",
    ]


def test_every_picture_says_what_it_shows() -> None:
    html = render_report(dataclasses.replace(INPUTS, neighbours=EXHIBIT, latent_space=[EXHIBIT]))
    pictures = [attributes for tag, attributes in Page(html).tags if tag == "img"]
    assert len(pictures) == 7 and all(picture.get("alt") for picture in pictures)


def test_names_cannot_inject() -> None:
    attacked = dataclasses.replace(
        INPUTS,
        title=ATTACK,
        recipe_name=ATTACK,
        verdict=verdict(check(ATTACK, passed=False, reason=ATTACK)).model_copy(update={"limits_source": ATTACK}),
        metrics=METRICS.model_copy(
            update={
                "dataset_name": ATTACK,
                "mode_names": [ATTACK, "one"],
                "champion_version": ATTACK,
                "champion_note": ATTACK,
                "metrics": {ATTACK: Metric(value=1.0, count=1, unit=ATTACK)},
            }
        ),
        weakest_modes=[WeakMode(ATTACK, 0.1, 0.1, PICTURE, PICTURE)],
        latent_space=[Exhibit(ATTACK, ATTACK, [Figure(ATTACK, ATTACK, png=PICTURE, legend=(ATTACK,))])],
        history=[{"images_seen": 1.0, ATTACK: 2.0}],
        lineage={ATTACK: ATTACK},
        settings_json=f"not json {ATTACK}",
    )
    html = render_report(attacked)
    page = Page(html)
    assert page.open == []
    assert ATTACK in page.text
    for tag, attributes in page.tags:
        assert tag != "script" and not any(name.startswith("on") for name in attributes)
        assert (attributes.get("src") or "data:").startswith("data:")
    assert "<" not in re.sub(r"\\.", "", render_markdown(attacked.verdict, attacked.metrics))


def test_hashes_are_short_with_the_whole_in_the_title() -> None:
    page = Page(render_report(INPUTS))
    assert "121212121212…" in page.text and "12" * 32 not in page.text
    assert any(attributes.get("title") == "12" * 32 for _, attributes in page.tags)
    assert "not recorded" in page.text


def test_frechet_distance_is_stated_in_floors() -> None:
    multiple = frechet_in_floors(METRICS, FAILED.checks)
    assert multiple.value == pytest.approx(6.0)
    assert multiple.interval == pytest.approx((5.0, 7.0))
    assert multiple.limit == pytest.approx(1.4)  # a distance of 0.7, in floors of 0.5
    assert "6 times" in Page(render_report(INPUTS)).text


@pytest.mark.parametrize("floor", [None, 0.0, -0.1])
def test_a_floor_that_is_no_unit_is_explained(floor: float | None) -> None:
    metrics = METRICS.model_copy(update={"frechet_floor": Metric(value=floor, count=3)})
    multiple = frechet_in_floors(metrics, FAILED.checks)
    assert multiple.value is None and "floor" in multiple.reason
    assert multiple.reason.replace("'", "&#39;") in render_report(dataclasses.replace(INPUTS, metrics=metrics))


def test_curves_are_grouped_and_the_bound_has_its_ceiling() -> None:
    curves = {curve.title: curve.svg for curve in training_curves(HISTORY)}
    assert list(curves) == ["Losses of the two players", "Jensen-Shannon divergence, lower bound from D"]
    assert "log 2" in curves["Jensen-Shannon divergence, lower bound from D"]
    vae = training_curves(VAE_INPUTS.history)
    assert [curve.title for curve in vae] == ["Negative ELBO and its terms"]
    assert "loss, held-out" in vae[0].svg


def test_the_dimensions_of_a_quantity_share_a_chart() -> None:
    history = [
        {"images_seen": float(step)} | {f"kl_from_mean/{dimension:02d}": dimension / step for dimension in range(5)}
        for step in range(1, 4)
    ]
    (curve,) = training_curves(history)
    assert curve.title == "KL from the means, dimension by dimension"
    assert curve.svg.count("<path") == 5 and curve.svg.count("a line for each dimension</text>") == 1


def test_what_is_too_long_for_a_chart_is_cut() -> None:
    long = "x" * 300
    svg = line_chart("t", [Series(long, [(0.0, 1.0), (1.0, 2.0)])], x_label="x", y_label=long)
    assert max(map(len, re.findall(r"<text[^>]*>([^<]*)</text>", svg))) < 60


def test_many_modes_show_the_most_neglected() -> None:
    shares = [1.0 / 999] * 1000
    shares[700] = 0.0
    metrics = METRICS.model_copy(
        update={
            "mode_names": [f"mode {index}" for index in range(1000)],
            "mode_shares": shares,
            "real_mode_shares": [0.001] * 1000,
        }
    )
    text = Page(render_report(dataclasses.replace(INPUTS, metrics=metrics))).text
    assert "mode 700" in text and "mode 999" not in text and "of 1,000 modes" in text


def test_markdown_has_one_row_a_check() -> None:
    tricky = verdict(*FAILED.checks, check("odd", passed=True, reason="a | b\nc"))
    rows = [line for line in render_markdown(tricky, METRICS).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(tricky.checks)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}
    assert "failed (2 of 4 checks not passed)" in render_markdown(tricky, METRICS)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (-3.2, 7.9), (0.69, 0.7), (1e-9, 2e-9), (0, 123456789), (5, 5), (0, 0), (-2, -2)],
)
def test_ticks_cover_the_range_evenly_and_are_few(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    steps = np.diff(ticks)
    assert ticks[0] <= low and ticks[-1] >= high and 2 <= len(ticks) <= 8
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)
    assert f"{steps[0]:.0e}"[0] in "125"


@pytest.mark.parametrize(
    ("value", "label"),
    [(0, "0"), (0.25, "0.25"), (1500, "1500"), (20000, "20k"), (1.5e6, "1.5M"), (-3, "−3")],
)
def test_tick_labels_are_short(value: float, label: str) -> None:
    assert compact(value) == label


def test_a_long_line_is_thinned_but_keeps_its_spikes() -> None:
    points = [(float(index), 50.0 if index == 7777 else 0.0) for index in range(20_000)]
    svg = line_chart("t", [Series("a", points)], x_label="x", y_label="y")
    assert len(svg) < 20_000
    drawn = re.search(r' d="([^"]+)"', svg)
    assert drawn is not None
    heights = {float(pair.split()[1]) for pair in re.split("[ML]", drawn[1]) if pair}
    assert len(heights) == 2


def test_a_gap_interrupts_the_line_and_a_lone_point_is_a_dot() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, math.nan), (3.0, 3.0)]
    svg = line_chart("t", [Series("a", points)], x_label="x", y_label="y")
    assert svg.count("M") == 1 and svg.count("<circle") == 1


def test_charts_without_data_say_so() -> None:
    empty = line_chart("t", [Series("a", [(0.0, math.nan)])], x_label="x", y_label="y", ceiling=Ceiling(1.0, "top"))
    assert "– (nothing was recorded)" in empty
    assert "–" in bar_chart("t", [], {"samples": []})
    assert bar_chart("t", ["a"], {"samples": [None]}).count(">–<") == 1


def test_the_centers_of_neglected_components_are_found_by_their_names() -> None:
    grid25 = MixtureParameters(centers=[[float(index), -float(index)] for index in range(25)], sigma=0.1)
    names = sorted(f"mode {index}" for index in range(25))  # "mode 10" comes before "mode 2"
    shares = [0.0 if name in ("mode 2", "mode 10") else 1.0 / 23 for name in names]
    metrics = METRICS.model_copy(
        update={"mode_names": names, "mode_shares": shares, "real_mode_shares": [1.0 / 25] * 25}
    )
    manifest = Manifest.model_construct(mixture=grid25)
    centers = neglected_centers(manifest, metrics)
    assert centers is not None
    assert sorted(centers[:, 0].tolist()) == [2.0, 10.0]
    assert neglected_centers(Manifest.model_construct(mixture=None), metrics) is None
