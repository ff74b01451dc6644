"""The serving page in a real browser: it generates, walks, chooses, reconstructs; it fits and can be read."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.browser.chromium import Chromium
from tests.serving.conftest import Running, _serving, write_bundle

MEASURES = Path(__file__).with_name("measures.js").read_text(encoding="utf-8")
VECTORS = json.loads((Path(__file__).parents[1] / "golden" / "latents.json").read_text())["vectors"]
SCREENS = [(width, dark) for width in (360, 768, 1280) for dark in (False, True)]
LEFT, RIGHT, TAB = ("ArrowLeft", 37), ("ArrowRight", 39), ("Tab", 9)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A GAN of classes, a VAE of colours, an AE, vectors, and a model that has no version."""
    place = tmp_path_factory.mktemp("bundles")
    bundles = {
        "classes": write_bundle(place / "c", conditional=True),
        "colours": write_bundle(place / "vae", family="vae", channels=3),
        "codes": write_bundle(place / "ae", family="ae"),
        "points": write_bundle(place / "v", kind="vector"),
    }
    with _serving(bundles=bundles, models=(*bundles, "to-come")) as running:
        running.catalog.slots["to-come"].problem = "no version has the alias 'champion'"
        yield running


@pytest.fixture
def page(chromium: Chromium, served: Running) -> Chromium:
    """The page, with all that it loads by itself."""
    chromium.look(1280, dark=False)
    chromium.open(str(served.client.base_url))
    for number in range(4):
        chromium.wait_for(f"{section(number)}.dataset.shown !== undefined")
        chromium.wait_for(f"{part(number, 'walk-status')}.textContent.startsWith('From')")
    return chromium


def section(number: int) -> str:
    return f"document.querySelector('#model-{number}')"


def part(number: int, name: str) -> str:
    return f"{section(number)}.querySelector('[data-part={name}]')"


def cell(number: int, index: int) -> str:
    return f"{section(number)}.querySelectorAll('[data-part=cells] canvas')[{index}]"


def picture(browser: Chromium, canvas: str) -> np.ndarray:
    """What is drawn on a canvas, uint8 [H, W, 3]."""
    content = base64.b64decode(browser.evaluate(f"{canvas}.toDataURL()").partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def sample(served: Running, path: str) -> np.ndarray:
    array = np.load(io.BytesIO(served.client.get(f"/v1/models/{path}&format=npy").content))
    return np.broadcast_to(array, (*array.shape[:3], 3)) if array.shape[-1] == 1 else array


def wait_shown(browser: Chromium, number: int, query: str) -> None:
    browser.wait_for(f"{section(number)}.dataset.shown === {json.dumps(query)}")
    browser.wait_for(f"!{part(number, 'cells')}.classList.contains('busy')")


def sound(browser: Chromium, served: Running) -> None:
    """Nothing was said on the console, and nothing asked of another address."""
    assert browser.complaints() == []
    base = str(served.client.base_url)
    assert [u for u in browser.requested() if not u.startswith((base, "data:image/svg+xml,"))] == []


# -- latents -------------------------------------------------------------------------------------------


def test_the_script_makes_the_committed_latents(page: Chromium) -> None:
    """The words are exactly those of numpy's Philox; a component may be the next float32, no further."""
    different = total = 0
    for vector in VECTORS:
        expected = np.frombuffer(bytes.fromhex(vector["float32_little_endian_hex"]), dtype="<f4")
        count = -(-len(expected) // 4) * 4
        start = ((vector["index"] << 64) - 1) % (1 << 256)
        words = np.random.Philox(counter=start, key=vector["seed"]).random_raw(count)
        named = f"{vector['seed']}n, {vector['index']}n"
        assert page.evaluate(f"ganvas.words({named}, {count}).map(String)") == [str(word) for word in words]
        found = page.evaluate(f"ganvas.latent({named}, {len(expected)})")
        rounded = np.array(found, dtype=np.float32)
        np.testing.assert_array_equal(rounded.astype(np.float64), found, "the script's numbers are float32 already")
        np.testing.assert_array_max_ulp(rounded, expected, maxulp=1)
        different, total = different + int((rounded != expected).sum()), total + len(expected)
    assert different <= 0.01 * total


# -- gallery -------------------------------------------------------------------------------------------


def test_the_gallery_shows_the_samples_of_its_seed(page: Chromium, served: Running) -> None:
    expected = sample(served, "colours/images?n=16&seed=0")
    for index in (0, 7, 15):
        np.testing.assert_array_equal(picture(page, cell(1, index)), expected[index])
    page.evaluate(f"{part(1, 'another')}.click()")
    page.wait_for(f"{part(1, 'seed')}.value !== '0'")
    seed = page.evaluate(f"{part(1, 'seed')}.value")
    wait_shown(page, 1, f"n=16&seed={seed}")
    np.testing.assert_array_equal(picture(page, cell(1, 3)), sample(served, f"colours/images?n=16&seed={seed}")[3])
    assert "ms, median of" in page.evaluate(f"{part(1, 'latency')}.textContent")
    sound(page, served)


def test_arrow_keys_change_the_seed(page: Chromium, served: Running) -> None:
    page.evaluate(f"{section(0)}.querySelector('[data-part=cells] button').focus()")
    page.press(*RIGHT)
    page.press(*RIGHT)
    wait_shown(page, 0, "n=16&seed=2")
    np.testing.assert_array_equal(picture(page, cell(0, 4)), sample(served, "classes/images?n=16&seed=2")[4])
    for _ in range(3):
        page.press(*LEFT)
    wait_shown(page, 0, f"n=16&seed={2**64 - 1}")
    sound(page, served)


def test_arrow_keys_belong_to_a_field_while_it_is_used(page: Chromium) -> None:
    page.evaluate(f"{part(0, 'truncation')}.focus()")
    page.press(*LEFT)
    wait_shown(page, 0, "n=16&seed=0&truncation=0.95")


def test_sliders_change_seed_and_truncation(page: Chromium, served: Running) -> None:
    page.drag("#model-1 [data-part=slider]", 0.02, 0.5)
    seed = page.evaluate(f"{part(1, 'seed')}.value")
    assert 400 < int(seed) < 600
    wait_shown(page, 1, f"n=16&seed={seed}")
    page.drag("#model-1 [data-part=truncation]", 0.98, 0.5)
    truncation = page.evaluate(f"{part(1, 'truncation')}.value")
    assert 0.3 < float(truncation) < 0.7
    wait_shown(page, 1, f"n=16&seed={seed}&truncation={truncation}")
    expected = sample(served, f"colours/images?n=16&seed={seed}&truncation={truncation}")
    np.testing.assert_array_equal(picture(page, cell(1, 9)), expected[9])
    sound(page, served)


def test_a_seed_that_is_none_is_marked_and_not_asked_for(page: Chromium, served: Running) -> None:
    for text in ("", "x", "-1", "1.5", str(2**64), "9" * 20):
        page.evaluate(f"({part(1, 'seed')}.value = '{text}', {part(1, 'seed')}.dispatchEvent(new Event('input')))")
        assert page.evaluate(f"{part(1, 'seed')}.getAttribute('aria-invalid')") == "true"
    page.evaluate(f"({part(1, 'seed')}.value = '{2**64 - 1}', {part(1, 'seed')}.dispatchEvent(new Event('input')))")
    wait_shown(page, 1, f"n=16&seed={2**64 - 1}")
    sound(page, served)


def test_class_buttons_choose_the_class(page: Chromium, served: Running) -> None:
    buttons = f"{section(0)}.querySelectorAll('[data-part=classes] input')"
    assert page.evaluate(f"[...{buttons}].map((b) => b.parentElement.textContent)") == ["All", "cat", "dog", "0"]
    shown: list[np.ndarray] = []
    for position, name in ((2, "dog"), (3, "0")):
        page.evaluate(f"{buttons}[{position}].click()")
        wait_shown(page, 0, f"n=16&seed=0&label={name}")
        expected = sample(served, f"classes/images?n=16&seed=0&label={name}")
        np.testing.assert_array_equal(picture(page, cell(0, 6)), expected[6])
        shown.append(expected[6])
    assert not np.array_equal(*shown)
    page.evaluate(f"{buttons}[0].click()")
    wait_shown(page, 0, "n=16&seed=0")
    sound(page, served)


# -- between latents -----------------------------------------------------------------------------------


def test_dragging_walks_between_two_latents(page: Chromium, served: Running) -> None:
    frames = sample(served, "colours/interpolate?from=0&to=1&steps=25")
    page.drag("#model-1 [data-part=position]", 0.5, 0.999)
    assert page.evaluate(f"{part(1, 'position')}.value") == "24"
    np.testing.assert_array_equal(picture(page, part(1, "frame")), frames[24])
    page.drag("#model-1 [data-part=position]", 0.99, 0.5)
    place = int(page.evaluate(f"{part(1, 'position')}.value"))
    assert 10 <= place <= 14
    np.testing.assert_array_equal(picture(page, part(1, "frame")), frames[place])
    page.press(*RIGHT)
    np.testing.assert_array_equal(picture(page, part(1, "frame")), frames[place + 1])
    asked = [url for url in page.requested() if "colours/interpolate" in url]
    assert len(asked) == 1, "a frame is there before it is dragged to"
    assert page.evaluate(f"{part(1, 'seed')}.value") == "0"
    sound(page, served)


def test_a_walk_plays_and_stops(page: Chromium) -> None:
    before = page.evaluate(f"{part(1, 'position')}.value")
    page.evaluate(f"{part(1, 'play')}.click()")
    page.wait_for(f"{part(1, 'position')}.value !== '{before}'")
    page.evaluate(f"{part(1, 'play')}.click()")
    assert page.evaluate(f"[{part(1, 'play')}.textContent, {part(1, 'play')}.getAttribute('aria-pressed')]") == [
        "Play",
        "false",
    ]


def test_a_chosen_picture_shows_its_latent_and_one_walks_from_it(page: Chromium, served: Running) -> None:
    """The script's own latent, posted, gives the picture that was chosen: the two algorithms are one."""
    page.evaluate(f"({part(1, 'truncation')}.value = 0.5, {part(1, 'truncation')}.dispatchEvent(new Event('input')))")
    wait_shown(page, 1, "n=16&seed=0&truncation=0.5")
    page.evaluate(f"{cell(1, 5)}.parentElement.click()")
    chosen = picture(page, cell(1, 5))
    np.testing.assert_array_equal(picture(page, part(1, "chosen-picture")), chosen)
    assert page.evaluate(f"{part(1, 'chosen-status')}.textContent").startswith("Number 5 of seed 0: norm ")
    assert len(page.evaluate(f"{part(1, 'numbers')}.textContent").split()) == 6
    page.wait_for(f"{part(1, 'near')}.querySelectorAll('canvas').length === 12")
    page.evaluate(f"{part(1, 'as-start')}.click()")
    page.wait_for(f"{part(1, 'walk-status')}.textContent.startsWith('From a chosen latent to number 0 of seed 1')")
    start = picture(page, part(1, "start"))
    # A last bit of a latent may move a pixel over a rounding.
    assert np.abs(start.astype(int) - chosen).max() <= 1
    assert np.abs(picture(page, part(1, "end")).astype(int) - sample(served, "colours/images?n=1&seed=1")[0]).max() <= 1
    sound(page, served)


HOLD = """(() => {
  const real = globalThis.NAME;
  globalThis.held = [];
  globalThis.NAME = async (...given) => {
    const hold = WHEN;
    if (hold) await new Promise((go) => held.push(go));
    return real.apply(globalThis, given);
  };
})()"""
"""Lets what a function of the browser gives come only when it is let go."""


def test_who_chooses_while_a_seed_loads_gets_what_was_shown(page: Chromium, served: Running) -> None:
    page.evaluate(HOLD.replace("NAME", "fetch").replace("WHEN", "String(given[0]).includes('/images?n=16&seed=1')"))
    page.evaluate(f"{part(1, 'next')}.click()")
    page.wait_for("held.length === 1")
    page.evaluate(f"{cell(1, 5)}.parentElement.click()")
    before, after = (sample(served, f"colours/images?n=16&seed={seed}") for seed in (0, 1))

    def chosen(seed: int, expected: np.ndarray) -> None:
        np.testing.assert_array_equal(picture(page, part(1, "chosen-picture")), expected[5])
        assert page.evaluate(f"{part(1, 'chosen-status')}.textContent").startswith(f"Number 5 of seed {seed}: norm ")
        latent = page.evaluate(f"ganvas.latent({seed}n, 5, 6).map((value) => value.toFixed(4)).join('  ')")
        assert page.evaluate(f"{part(1, 'numbers')}.textContent") == latent

    chosen(0, before)
    page.evaluate("held[0]()")
    wait_shown(page, 1, "n=16&seed=1")
    chosen(0, before)
    page.evaluate(f"{cell(1, 5)}.parentElement.click()")
    chosen(1, after)
    assert not np.array_equal(before[5], after[5])
    sound(page, served)


def test_the_last_seed_wins_however_long_a_picture_takes_to_be_read(page: Chromium, served: Running) -> None:
    page.evaluate(HOLD.replace("NAME", "createImageBitmap").replace("WHEN", "held.length === 0"))
    page.evaluate(f"{part(1, 'next')}.click()")
    page.wait_for("held.length === 1")
    page.evaluate(f"{part(1, 'next')}.click()")
    wait_shown(page, 1, "n=16&seed=2")
    page.evaluate("(held[0](), setTimeout(() => { globalThis.later = true; }, 200))")
    page.wait_for("globalThis.later === true")
    np.testing.assert_array_equal(picture(page, cell(1, 5)), sample(served, "colours/images?n=16&seed=2")[5])
    assert page.evaluate(f"{section(1)}.dataset.shown") == "n=16&seed=2"
    sound(page, served)


# -- reconstruction ------------------------------------------------------------------------------------


def test_a_chosen_and_a_dropped_picture_are_reconstructed(page: Chromium, served: Running, tmp_path: Path) -> None:
    file = tmp_path / "mine.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 31, 3), dtype=np.uint8)).save(file)
    answer: httpx.Response = served.client.post(
        "/v1/models/colours/reconstruct?layout=pair&format=npy", content=file.read_bytes()
    )
    pair = np.load(io.BytesIO(answer.content))
    page.call("DOM.getDocument")
    found = page.call("Runtime.evaluate", expression=part(1, "file"))["result"]["objectId"]
    page.call("DOM.setFileInputFiles", files=[str(file)], objectId=found)
    page.wait_for(f"{part(1, 'reconstruct-status')}.textContent === 'mine.png, kept in 6 numbers.'")
    np.testing.assert_array_equal(picture(page, part(1, "original")), pair[0])
    np.testing.assert_array_equal(picture(page, part(1, "reconstruction")), pair[1])
    page.evaluate(f"{part(1, 'encoded-end')}.click()")
    page.wait_for(f"{part(1, 'walk-status')}.textContent.includes('to a chosen latent')")
    np.testing.assert_array_equal(picture(page, part(1, "end")), pair[1])

    content = base64.b64encode(file.read_bytes()).decode()
    drop = (
        f"(() => {{ const data = new DataTransfer();"
        f"data.items.add(new File([Uint8Array.from(atob('{content}'), (c) => c.charCodeAt(0))], 'dropped.png'));"
        f"{part(2, 'drop')}.dispatchEvent(new DragEvent('drop', {{ dataTransfer: data, cancelable: true }})); }})()"
    )
    page.evaluate(drop)
    page.wait_for(f"{part(2, 'reconstruct-status')}.textContent === 'dropped.png, kept in 6 numbers.'")
    sound(page, served)
    page.evaluate(drop.replace("Uint8Array.from(", "Uint8Array.of(7) || ("))
    page.wait_for(f"{part(2, 'reconstruct-status')}.classList.contains('wrong')")
    assert "no PNG, JPEG or WebP" in page.evaluate(f"{part(2, 'reconstruct-status')}.textContent")
    assert page.evaluate(f"{part(0, 'drop')}") is None, "a GAN has no encoder"


# -- vectors -------------------------------------------------------------------------------------------


def test_vectors_are_drawn_as_points(page: Chromium, served: Running) -> None:
    before = picture(page, cell(3, 0))
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 3
    page.drag("#model-3 [data-part=position]", 0.5, 0.9)
    assert not np.array_equal(before, picture(page, cell(3, 0)))
    page.evaluate(f"{part(3, 'next')}.click()")
    wait_shown(page, 3, "n=256&seed=1")
    sound(page, served)


# -- the whole -----------------------------------------------------------------------------------------


def test_the_page_can_be_read_on_every_screen(page: Chromium, served: Running) -> None:
    for width, dark in SCREENS:
        page.look(width, dark=dark)
        page.open(str(served.client.base_url))
        for number in range(4):
            page.wait_for(f"{part(number, 'walk-status')}.textContent.startsWith('From')")
        page.evaluate(f"{cell(0, 0)}.parentElement.click()")
        page.wait_for(f"{part(0, 'near')}.querySelectorAll('canvas').length === 12")
        seen = page.evaluate(MEASURES)
        where = f"{width} pixels, {'dark' if dark else 'light'}"
        assert seen["overflow"] == 0 and seen["wide"] == [], where
        assert seen["dim"] == [], where
        assert seen["texts"] > 100
        assert seen["headings"][0] == 1 and seen["headings"].count(1) == 1
        assert all(following <= heading + 1 for heading, following in pairwise(seen["headings"])), seen["headings"]
        sound(page, served)


def test_every_control_has_a_name_and_shows_its_focus(page: Chromium) -> None:
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, select, canvas[role]')].filter((e) => e.checkVisibility() &&"
        " !(e.ariaLabel || e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML)"
    )
    assert unnamed == []
    page.evaluate("document.querySelector('.skip').focus()")
    tags = set()
    for _ in range(45):
        page.press(*TAB)
        tag, shown = page.evaluate(
            "(() => { const e = document.activeElement;"
            " const outlined = (x) => x && getComputedStyle(x).outlineStyle !== 'none';"
            " return [e.tagName + (e.type ?? ''), outlined(e) && getComputedStyle(e).opacity > 0"
            " || outlined(e.nextElementSibling) || outlined(e.closest('.drop'))]; })()"
        )
        assert shown, tag
        tags.add(tag)
    assert {"A", "BUTTONbutton", "INPUTrange", "INPUTradio", "INPUTtext", "SELECTselect-one"} <= tags


def test_what_a_model_is_and_why_one_is_not_there(page: Chromium) -> None:
    text = page.evaluate(f"{section(1)}.innerText")
    for expected in ("VAE", "! not judged", "tiny", "000000000000", "1,000", "6 dimensions"):
        assert expected in text
    assert "no version has the alias 'champion'" in page.evaluate(f"{section(4)}.innerText")


def test_who_wants_less_motion_gets_none(page: Chromium, served: Running) -> None:
    moving = "getComputedStyle(document.querySelector('#model-0 [data-part=cells] button')).transitionDuration"
    assert page.evaluate(moving) != "0s"
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert page.evaluate(moving) == "0s"


def test_without_script_there_is_a_gallery(chromium: Chromium, served: Running) -> None:
    chromium.look(360, dark=False)
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(str(served.client.base_url))
        loaded = "[...document.querySelectorAll('.still')].map((i) => i.complete && i.naturalWidth)"
        assert chromium.evaluate(loaded) == [32, 32, 32]
        assert (
            chromium.evaluate("[...document.querySelectorAll('.scripted')].some((e) => e.checkVisibility())") is False
        )
        assert chromium.evaluate("document.querySelectorAll('noscript form').length") == 4
        sound(chromium, served)
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)


def test_the_policy_stops_what_is_not_the_pages_own(page: Chromium, served: Running) -> None:
    """A negative control of the header: an injected script does not run, a picture from elsewhere is not fetched."""
    page.evaluate(
        "(() => { const s = document.createElement('script'); s.textContent = 'globalThis.ran = 1';"
        " const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(s, i); })()"
    )
    page.wait_for("document.images[document.images.length - 1].complete")
    assert page.evaluate("globalThis.ran ?? 'no'") == "no"
    assert sum("Content Security Policy" in text for text in page.complaints()) == 2


def test_the_version_that_answers_is_named_live(page: Chromium, served: Running) -> None:
    slot = served.catalog.slots["codes"].current
    assert slot is not None
    served.call(set_version(slot, "9", "passed"))
    try:
        page.evaluate(f"{part(2, 'next')}.click()")
        wait_shown(page, 2, "n=16&seed=1")
        assert "version 9" in page.evaluate(f"{part(2, 'version')}.textContent")
        assert page.evaluate(f"{part(2, 'verdict')}.textContent") == "✓ passed the gate"
    finally:
        served.call(set_version(slot, "bundle", "missing"))


async def set_version(slot: Any, version: str, verdict: str) -> None:
    slot.version, slot.verdict = version, verdict
