"""The page at ``/``: HTML from templates, beside a style and a script that are files as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from serving.catalog import Catalog, Served, Slot

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_GALLERY = 16
_VERDICTS = {"passed": ("good", "✓ passed the gate"), "failed": ("bad", "✗ failed the gate")}
_NO_VERDICT = ("warn", "! not judged")
_FITS = {"crop": "its centre square is taken", "pad": "its border is repeated to a square"}
_HASH_CHARACTERS = 12
_DIRECTORY = Path(__file__).parent


def page_file(name: str) -> bytes:
    """A file of the page, as it is."""
    return (_DIRECTORY / name).read_bytes()


def status_page(catalog: Catalog, max_images: int) -> str:
    """The page as HTML.

    Args:
        catalog: each of its slots becomes a section.
        max_images: of one answer.
    """
    reason = catalog.not_ready_because()
    slots = list(catalog.slots.values())
    links = "".join(f'<a href="#model-{number}">{escape(slot.name)}</a>' for number, slot in enumerate(slots))
    return _template("index.html").substitute(
        title=escape(f"{', '.join(slot.name for slot in slots)} · ganvas"),
        state=_mark("bad", "not ready") if reason else _mark("good", "ready"),
        index=f'<nav class="index" aria-label="Models">{links}</nav>' if len(slots) > 1 else "",
        models="\n".join(_section(slot, number, max_images) for number, slot in enumerate(slots)),
    )


@cache
def _template(name: str) -> Template:
    return Template(page_file(name).decode())


def _section(slot: Slot, number: int, max_images: int) -> str:
    problems = [slot.problem, f"The canary: {slot.canary.problem}" if slot.canary.problem else ""]
    problem = "".join(f'<p class="problem" role="alert">{escape(text)}</p>' for text in problems if text)
    if slot.current is None:
        head = f'<h2 id="name-{number}">{escape(slot.name)}</h2>{_mark("bad", "no version")}'
        return (
            f'<section class="model" id="model-{number}" aria-labelledby="name-{number}">'
            f'<div class="title">{head}</div>{problem}</section>'
        )
    served = slot.current
    signature = served.predictor.signature
    count = min(_GALLERY, max_images)
    pictures = signature.sample.kind == "image"
    first = f"?n={count}&amp;seed=0" + ("" if pictures else "&amp;format=npy")
    url = _url(served)
    still = f'<img class="still" src="{url}{first}" alt="{count} samples of {escape(served.name)}">' if pictures else ""
    return _template("model.html").substitute(
        number=number,
        kind="pictures" if pictures else "vectors",
        name=escape(served.name),
        url=url,
        first=first,
        still=still,
        data=escape(json.dumps(_facts_for_script(served, max_images))),
        caption="" if pictures else f"Vectors of {signature.sample.shape[0]} dimensions.",
        marks=_marks(served, slot.served[1:]),
        problem=problem,
        hidden_format="" if pictures else '<input type="hidden" name="format" value="npy">',
        classes=_classes(signature.class_names, number) if signature.conditional else "",
        facts=_facts(served),
        latent=_template("latent.html").substitute(number=number) if pictures else "",
        reconstruct=(
            _template("reconstruct.html").substitute(number=number, fit=_FITS[signature.sample.fit])
            if pictures and "encoder" in signature.graphs
            else ""
        ),
    )


def _url(served: Served) -> str:
    return f"/v1/models/{quote(served.name, safe='')}/images"


def _facts_for_script(served: Served, max_images: int) -> dict[str, object]:
    signature = served.predictor.signature
    return {
        "url": _url(served).removesuffix("/images"),
        "version": served.version,
        "kind": signature.sample.kind,
        "shape": list(signature.sample.shape),
        "latentSize": signature.latent.size,
        "classes": list(signature.class_names) if signature.conditional else [],
        "maxImages": max_images,
    }


def _marks(served: Served, canaries: Sequence[Served]) -> str:
    family = served.predictor.signature.family.upper()
    kind, text = _VERDICTS.get(served.verdict, _NO_VERDICT)
    beside = "".join(_mark("", f"canary: version {canary.version}") for canary in canaries)
    version = _mark("", f"version {served.version}", part="version")
    return (
        f"{_mark('', family)}{version}{_mark(kind, text, part='verdict')}{beside}"
        '<span class="latency" data-part="latency" title="median of the last answers, as this page measures it"></span>'
    )


def _classes(names: tuple[str, ...], number: int) -> str:
    choices = [("", "All"), *((str(index), name) for index, name in enumerate(names))]
    buttons = "".join(
        f'<label><input type="radio" name="class-{number}" value="{value}"{"" if value else " checked"}>'
        f"<span>{escape(name)}</span></label>"
        for value, name in choices
    )
    return f'<fieldset class="classes" data-part="classes"><legend>Class</legend>{buttons}</fieldset>'


def _facts(served: Served) -> str:
    signature = served.predictor.signature
    lineage = signature.lineage
    facts = [
        ("Recipe", lineage.recipe, ""),
        ("Data", lineage.dataset_name, ""),
        ("Fingerprint", lineage.dataset_fingerprint[:_HASH_CHARACTERS], lineage.dataset_fingerprint),
        ("Images seen", f"{lineage.images_seen:,}" if lineage.images_seen else "", ""),
        ("Code", lineage.code_revision[:_HASH_CHARACTERS], lineage.code_revision),
        ("Pipeline run", lineage.pipeline_run_id, ""),
        ("MLflow run", lineage.mlflow_run_id, ""),
        ("Sample", " × ".join(map(str, signature.sample.shape)), "channels × height × width"),
        ("Latent", f"{signature.latent.size} dimensions", signature.latent.algorithm),
        ("Prior", "none: the decoder of an autoencoder is shown normal noise" if signature.family == "ae" else "", ""),
        ("Runs on", served.predictor.provider.removesuffix("ExecutionProvider"), served.predictor.provider),
    ]
    return "".join(_fact(*fact) for fact in facts if fact[1])


def _fact(name: str, value: str, title: str) -> str:
    more = f' title="{escape(title)}"' if title else ""
    return f"<div><dt>{name}</dt><dd{more}>{escape(value)}</dd></div>"


def _mark(kind: str, text: str, part: str = "") -> str:
    named = f' data-part="{part}"' if part else ""
    return f'<span class="mark {kind}"{named}>{escape(text)}</span>'
