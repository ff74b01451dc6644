"""The page as it leaves the server: whole, escaped, strict, and kept by browsers that know it."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import serving.page
from serving.bundle.reader import read_bundle
from serving.catalog import Catalog, Served
from serving.page.page import status_page
from tests.serving.conftest import make_predictor

FILES = {"/page.css": "text/css", "/page.js": "text/javascript", "/openapi.json": "application/json"}


class Outline(HTMLParser):
    """Start tags with their attributes, and whether every one that must be is closed."""

    VOID = frozenset(("meta", "link", "img", "input", "rect", "path"))

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def find(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_names_its_models_and_stands_alone(friendly: Any) -> None:
    answer = friendly.client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "http" not in policy
    outline = Outline(answer.text)
    assert outline.open == []
    assert [link["href"] for link in outline.find("link") if link["rel"] == "stylesheet"] == ["/page.css"]
    assert [script["src"] for script in outline.find("script")] == ["/page.js"]
    assert not any("style" in attributes or name == "style" for name, attributes in outline.tags)
    assert not any(name.startswith("on") for _, attributes in outline.tags for name in attributes)
    assert [image["src"] for image in outline.find("img")] == [
        f"/v1/models/{name}/images?n=16&seed=0" for name in ("m", "c", "vae", "ae")
    ]
    for _, attributes in outline.tags:
        for name in ("href", "src", "action"):
            target = attributes.get(name) or "/"
            assert target[0] in "/#" or target.startswith("data:image/svg+xml,")
    identifiers = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    assert {label["for"] for label in outline.find("label") if "for" in label} <= set(identifiers)


def test_every_address_of_the_page_is_there(friendly: Any) -> None:
    outline = Outline(friendly.client.get("/").text)
    targets = {
        attributes[name]
        for tag, attributes in outline.tags
        for name in ("href", "src")
        if (attributes.get(name) or "").startswith("/")
    }
    assert {"/metrics", "/openapi.json", "/v2/health/ready"} <= targets
    for target in targets:
        assert friendly.client.get(target or "").status_code == 200, target


@pytest.mark.parametrize("path", FILES)
def test_a_browser_that_knows_a_file_is_told_so(friendly: Any, path: str) -> None:
    answer = friendly.client.get(path)
    assert answer.headers["content-type"].startswith(FILES[path])
    tag = answer.headers["etag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        again = friendly.client.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert friendly.client.get(path, headers={"if-none-match": '"other"'}).content == answer.content


def test_script_and_style_name_no_other_address() -> None:
    for name in ("page.js", "page.css", "index.html", "model.html", "latent.html", "reconstruct.html"):
        text = (Path(serving.page.__file__).parent / name).read_text()
        assert set(re.findall(r"\w+://[^'\" ]+", text)) <= {"http://www.w3.org/2000/svg"}, name
        assert "import" not in text or name != "page.js"


def test_what_comes_from_a_registry_is_text(make_bundle: Any) -> None:
    """Names, versions and problems are written by others."""
    evil = "</h2><script>alert(1)</script>'\"&amp;"
    catalog = Catalog([evil])
    bundle = read_bundle(make_bundle(conditional=True))
    lineage = bundle.signature.lineage.model_copy(update={"recipe": evil, "dataset_fingerprint": evil})
    signature = bundle.signature.model_copy(update={"lineage": lineage, "class_names": (evil, "$name", "b")})
    served = Served(evil, evil, make_predictor(bundle), verdict=evil)
    served.predictor._model.signature = signature
    catalog.slots[evil].swap(served)
    catalog.slots[evil].problem = evil
    page = status_page(catalog, 64)
    served.predictor.close()
    outline = Outline(page)
    assert len(outline.find("script")) == 1
    assert evil not in page and unescape(page).count(evil) >= 7
    (section,) = [a for a in outline.find("section") if "data-model" in a]
    facts = json.loads(section["data-model"] or "")
    assert facts["version"] == evil and facts["classes"] == [evil, "$name", "b"]
    assert facts["url"].startswith("/v1/models/%3C%2Fh2%3E")


@pytest.mark.parametrize(
    ("verdict", "text"), [("passed", "✓ passed the gate"), ("failed", "✗ failed the gate"), ("missing", "! not judged")]
)
def test_a_verdict_has_a_mark(make_bundle: Any, verdict: str, text: str) -> None:
    catalog = Catalog(["m", "n"])
    served = Served("m", "3", make_predictor(read_bundle(make_bundle())), verdict=verdict)
    catalog.slots["m"].swap(served)
    catalog.slots["n"].problem = "no version has the alias 'champion'"
    page = status_page(catalog, 64)
    served.predictor.close()
    assert text in page and "version 3" in page
    assert "no version has the alias &#x27;champion&#x27;" in page
    assert "not ready" in page


def test_a_small_server_asks_for_no_more_than_it_gives(make_bundle: Any) -> None:
    catalog = Catalog(["m"])
    served = Served("m", "3", make_predictor(read_bundle(make_bundle())))
    catalog.slots["m"].swap(served)
    assert "/images?n=3&amp;seed=0" in status_page(catalog, 3)
    served.predictor.close()


def test_a_canary_is_shown_beside_its_model(make_bundle: Any) -> None:
    catalog = Catalog(["m"], canary_share=0.5)
    own, canary = (Served("m", version, make_predictor(read_bundle(make_bundle()))) for version in "34")
    catalog.slots["m"].swap(own)
    catalog.slots["m"].canary.problem = "no version has the alias 'challenger'"
    before = status_page(catalog, 64)
    catalog.slots["m"].canary.swap(canary)
    after = status_page(catalog, 64)
    for served in (own, canary):
        served.predictor.close()
    assert "The canary: no version has the alias &#x27;challenger&#x27;" in before and "canary: version" not in before
    assert "canary: version 4" in after and "The canary" not in after and "version 3" in after
