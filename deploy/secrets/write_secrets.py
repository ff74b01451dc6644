"""Writes s3.env, mlflow.env and mlflow-server.env beside itself, with random values that nobody has to know.

For a cluster that brings its own S3 and database (deploy/overlays/kind). Files that are there stay as they are.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

BYTES = 32


def write_secrets(directory: Path) -> list[Path]:
    """Write the three files, or none where all are there.

    Returns:
        What was written.

    Raises:
        SystemExit: where some are there and some are not: they belong together.
    """
    administrator, password = "ganvas", secrets.token_urlsafe(BYTES)
    contents = {
        "s3.env": {
            "AWS_ACCESS_KEY_ID": "ganvas" + secrets.token_hex(7).upper(),
            "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(BYTES),
        },
        "mlflow.env": {"MLFLOW_TRACKING_USERNAME": administrator, "MLFLOW_TRACKING_PASSWORD": password},
        "mlflow-server.env": {
            "PGHOST": "postgres",
            "PGUSER": "mlflow",
            "PGPASSWORD": secrets.token_urlsafe(BYTES),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(BYTES),
            "MLFLOW_AUTH_ADMIN_USERNAME": administrator,
            "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        },
    }
    paths = {name: directory / name for name in contents}
    missing = [name for name, path in paths.items() if not path.exists()]
    if not missing:
        return []
    if len(missing) < len(paths):
        raise SystemExit(f"{' and '.join(missing)} is missing beside the others. Remove those, or write it by hand.")
    for name, values in contents.items():
        text = "".join(f"{key}={value}\n" for key, value in values.items())
        # For its owner alone from the first byte on.
        with os.fdopen(os.open(paths[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    return list(paths.values())


if __name__ == "__main__":
    for path in write_secrets(Path(__file__).resolve().parent):
        print(f"wrote {path.name}", file=sys.stderr)
