"""Durable places: the file system or S3. The pipeline's only package that speaks S3."""

from __future__ import annotations

from components.storage.files import FileStorage
from components.storage.open import open_storage
from components.storage.s3 import S3Storage
from components.storage.storage import Storage, Stored

__all__ = ["FileStorage", "S3Storage", "Storage", "Stored", "open_storage"]
