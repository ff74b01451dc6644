"""The status page: one HTML document without anything from elsewhere."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from serving.catalog import Catalog, Served, Slot

_STYLE = """
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --ink: #1c2330; --soft: #5d6878;
  --line: #dfe3ea; --good: #17733f; --bad: #b3261e; --warn: #8a5a00; --accent: #2f5bd0; }
@media (prefers-color-scheme: dark) { :root { --ground: #11151c; --card: #1a202a; --ink: #e7ebf2;
  --soft: #98a3b5; --line: #2c3442; --good: #6fd39b; --bad: #ff8f87; --warn: #f0bd62; --accent: #8fb0ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1rem 3rem; }
header { display: flex; align-items: baseline; gap: .75rem; margin-bottom: 1.25rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 0; overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem;
  margin-bottom: 1rem; }
.head { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .75rem; }
.mark { border: 1px solid currentColor; border-radius: 99px; padding: 0 .6rem; font-size: .85rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.soft, footer, label { color: var(--soft); font-size: .9rem; }
img { display: block; width: min(100%, 24rem); aspect-ratio: 1; margin-top: 1rem; border-radius: 8px;
  image-rendering: pixelated; background: var(--ground); border: 1px solid var(--line); object-fit: contain; }
form { display: flex; flex-wrap: wrap; align-items: end; gap: .75rem; margin-top: 1rem;
  font-size: .9rem; }
label { display: grid; gap: .2rem; }
input, select, button { font: inherit; color: inherit; background: var(--ground); padding: .35rem .6rem;
  border: 1px solid var(--line); border-radius: 8px; }
input { width: 12rem; } button { cursor: pointer; } :focus-visible { outline: 2px solid var(--accent); }
a { color: var(--accent); } p { margin: .6rem 0 0; overflow-wrap: anywhere; }
"""

_SCRIPT = """
for (const form of document.forms) {
  const show = () => {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value !== "") query.set(name, value);
    document.getElementById(form.dataset.image).src = form.action + "?" + query;
  };
  form.addEventListener("submit", event => { event.preventDefault(); show(); });
  form.addEventListener("change", show);
  form.querySelector("[type=button]").addEventListener("click", () => {
    form.elements.seed.value = Math.floor(Math.random() * 1e9); show();
  });
}
"""

_VERDICTS = {"passed": ("good", "verdict passed"), "failed": ("bad", "verdict failed")}


def status_page(catalog: Catalog) -> str:
    """The page as HTML."""
    reason = catalog.not_ready_because()
    state = ("bad", "not ready") if reason else ("good", "ready")
    cards = "\n".join(_card(slot, number) for number, slot in enumerate(catalog.slots.values()))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>ganvas serving</title><style>{_STYLE}</style></head>
<body><main><header><h1>ganvas serving</h1>{_mark(*state)}</header>
{cards}
<footer><a href="/metrics">metrics</a> · <a href="/v2">protocol</a> ·
<a href="/v2/health/ready">readiness</a></footer>
</main><script>{_SCRIPT}</script></body></html>
"""


def _card(slot: Slot, number: int) -> str:
    problem = f'<p class="bad">{escape(slot.problem)}</p>' if slot.problem else ""
    if slot.current is None:
        head = f"<h2>{escape(slot.name)}</h2>{_mark('bad', 'no version')}"
        return f'<section><div class="head">{head}</div>{problem}</section>'
    served = slot.current
    lineage = served.predictor.signature.lineage
    facts = [served.predictor.signature.family.upper(), served.predictor.provider]
    facts += [f"trained on {lineage.dataset_name}"] if lineage.dataset_name else []
    facts += [f"{lineage.images_seen:,} images seen"] if lineage.images_seen else []
    verdict = _VERDICTS.get(served.verdict, ("warn", "verdict missing"))
    return f"""<section><div class="head"><h2>{escape(slot.name)}</h2>{_mark("", f"version {served.version}")}
{_mark(*verdict)}</div><p class="soft">{escape(" · ".join(facts))}</p>{problem}
{_samples(served, number)}</section>"""


def _samples(served: Served, number: int) -> str:
    signature = served.predictor.signature
    url = f"/v1/models/{quote(served.name, safe='')}/images"
    if signature.sample.kind == "vector":
        link = f'<a href="{url}?format=npy">samples as .npy</a>'
        return f"<p>Vectors of {signature.sample.shape[0]}: {link}</p>"
    classes = ""
    if signature.conditional:
        options = "".join(f"<option>{escape(name)}</option>" for name in signature.class_names)
        classes = f'<label>Class<select name="label"><option value="">all</option>{options}</select></label>'
    return f"""
<img id="samples-{number}" src="{url}?seed=0" alt="samples of {escape(served.name)}">
<form action="{url}" data-image="samples-{number}"><label>Seed<input name="seed" value="0" inputmode="numeric"
 pattern="[0-9]{{1,20}}" maxlength="20"></label>{classes}<button>Show</button>
<button type="button">Another seed</button></form>"""


def _mark(kind: str, text: str) -> str:
    return f'<span class="mark {kind}">{escape(text)}</span>'
