"""The sources that the settings name."""

from __future__ import annotations

from functools import cache

from serving.registry.reader import Registry, open_registry
from serving.registry.s3 import S3
from serving.registry.source import AliasSource, DirectorySource, PrefixSource, Source, VersionSource
from serving.settings import Settings
from serving.sources import AliasOf, Directory, ModelSource, Prefix, VersionOf


def open_sources(settings: Settings) -> tuple[dict[str, Source], dict[str, Source]]:
    """The source of every model by its name, and that of its canary where it may have one.

    Nothing is connected to yet: that is for the first look.
    """

    @cache
    def registry() -> Registry:
        return open_registry(settings.registry_uri, download_seconds=settings.download_seconds)

    def opened(source: ModelSource) -> Source:
        match source:
            case AliasOf(name, alias):
                return AliasSource(registry(), name, alias or settings.alias)
            case VersionOf(name, version):
                return VersionSource(registry(), name, version)
            case Directory(name, path):
                return DirectorySource(name, path)
            case Prefix(name, bucket, prefix):
                return PrefixSource(name, S3(), bucket, prefix, download_seconds=settings.download_seconds)

    sources = {source.name: opened(source) for source in settings.sources}
    canaries: dict[str, Source] = {
        source.name: AliasSource(registry(), source.name, settings.canary_alias)
        for source in settings.sources
        if settings.canary_share and isinstance(source, AliasOf)
    }
    return sources, canaries
