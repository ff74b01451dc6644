"""The contracts between the steps: JSON Schemas beside the writers, current, and kept by real artifacts.

After a change of a document: ``python -m tests.components.test_schemas`` writes them again.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from components.artifacts import Document, read_document
from components.evaluate.documents import METRICS_NAME, VERDICT_NAME, Metrics, Verdict
from components.evaluate.reader import read_report
from components.export.bundle import read_bundle
from components.export.signature import SIGNATURE_NAME, Signature
from components.extractor.document import EXTRACTOR_NAME, Extractor
from components.extractor.reader import read_extractor
from components.prepare.dataset import read_manifest
from components.prepare.manifest import MANIFEST_NAME, Manifest
from components.train.checkpoint import CHECKPOINT_NAME, Checkpoint, read_checkpoint
from models.errors import ArtifactError

COMPONENTS = Path(__file__).resolve().parent.parent.parent / "components"
# (document, its schema file, the artifact of a tiny run, its name there, its reader)
CONTRACTS: dict[str, tuple[type[Document], str, str, str, Any]] = {
    "manifest": (Manifest, "prepare/manifest", "dataset", MANIFEST_NAME, read_manifest),
    "checkpoint": (Checkpoint, "train/checkpoint", "checkpoint", CHECKPOINT_NAME, read_checkpoint),
    "extractor": (Extractor, "extractor/extractor", "extractor", EXTRACTOR_NAME, read_extractor),
    "signature": (Signature, "export/signature", "bundle", SIGNATURE_NAME, read_bundle),
    "metrics": (Metrics, "evaluate/metrics", "report", METRICS_NAME, read_report),
    "verdict": (Verdict, "evaluate/verdict", "report", VERDICT_NAME, read_report),
}


def schema_file(name: str) -> Path:
    return COMPONENTS / f"{CONTRACTS[name][1]}.schema.json"


def generated(name: str) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= CONTRACTS[name][0].model_json_schema(mode="serialization")
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_committed_schema_is_current(name: str) -> None:
    assert schema_file(name).read_text() == generated(name), "run python -m tests.components.test_schemas"
    jsonschema.Draft202012Validator.check_schema(json.loads(generated(name)))


@pytest.mark.parametrize("family", ["gan", "vae", "ae", "ring"])
@pytest.mark.parametrize("name", CONTRACTS)
def test_what_is_written_keeps_the_schema(name: str, family: str, tiny: Any) -> None:
    _, _, artifact, file, _ = CONTRACTS[name]
    document = json.loads((getattr(tiny(family), artifact) / file).read_text())
    jsonschema.validate(document, json.loads(schema_file(name).read_text()))


@pytest.mark.parametrize("name", CONTRACTS)
@pytest.mark.parametrize("harm", ["another version", "a field more", "a field less", "another type"])
def test_what_breaks_the_schema_is_refused_by_the_reader(name: str, harm: str, tiny: Any, tmp_path: Path) -> None:
    kind, _, artifact, file, read = CONTRACTS[name]
    copy = tmp_path / "copy"
    shutil.copytree(getattr(tiny("ring"), artifact), copy)
    document = json.loads((copy / file).read_text())
    required = next(field for field, info in kind.model_fields.items() if info.is_required())
    match harm:
        case "another version":
            document["schema_version"] = 2
        case "a field more":
            document["surplus"] = 1
        case "a field less":
            del document[required]
        case _:
            document[required] = {"not": ["this"]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json.loads(schema_file(name).read_text()))
    (copy / file).write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=file):
        read(copy)


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_directory_without_its_document_is_refused(name: str, tiny: Any, tmp_path: Path) -> None:
    _, _, artifact, file, read = CONTRACTS[name]
    copy = tmp_path / "copy"
    shutil.copytree(getattr(tiny("ring"), artifact), copy)
    (copy / file).unlink()
    with pytest.raises(ArtifactError, match=rf"half-written.*{file}"):
        read(copy)


@pytest.mark.parametrize("name", CONTRACTS)
def test_documents_come_back_as_they_were_written(name: str, tiny: Any) -> None:
    kind, _, artifact, file, _ = CONTRACTS[name]
    directory = getattr(tiny("gan"), artifact)
    document = read_document(directory, file, kind)
    assert json.loads(document.model_dump_json()) == json.loads((directory / file).read_text())


if __name__ == "__main__":
    for contract in CONTRACTS:
        schema_file(contract).write_text(generated(contract))
