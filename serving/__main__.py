"""``python -m serving MODEL...`` or ``python -m serving --bundle DIR``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from serving.errors import ServingError, UsageError
from serving.flags import read_command_line
from serving.operations.logs import configure_logging
from serving.settings import Settings, resolve_settings
from serving.settings_shown import shown_settings

ENDED_BY_PERSON = 130  # what shells give for Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop.

    Returns:
        The exit code: 0 stopped as asked, 1 a clear error, 2 wrong use.
    """
    try:
        line = read_command_line(sys.argv[1:] if arguments is None else arguments)
        resolved = resolve_settings(line.given, line.file)
        if line.print_settings:
            print(shown_settings(resolved))
            return 0
        configure_logging(resolved.settings.log_format, resolved.settings.log_level)
        _serve(resolved.settings)
    except ServingError as error:
        print(f"ganvas-serve: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return ENDED_BY_PERSON
    return 0


def _serve(settings: Settings) -> None:
    # Late: `--help` and a wrong flag answer at once.
    from serving.bundle.reader import Bundle, read_bundle
    from serving.catalog import Catalog, Served
    from serving.http.app import create_app
    from serving.http.beside import beside
    from serving.http.server import bind, serve
    from serving.metrics import Metrics
    from serving.operations.operations import Operations
    from serving.operations.tracing import start_tracing
    from serving.predict.model import load_model
    from serving.predict.predictor import Predictor
    from serving.predict.sessions import Execution
    from serving.registry.open import open_sources
    from serving.registry.source import DirectorySource, bundle_version
    from serving.registry.watcher import Watcher
    from serving.software import software_version

    execution = Execution(
        device=settings.device,
        threads=settings.threads_of_a_run,
        memory_bytes=settings.gpu_memory_bytes,
        cuda_graphs=settings.cuda_graphs,
        max_batch=settings.max_batch,
    )

    def load(bundle: Bundle) -> Predictor:
        return Predictor(
            load_model(bundle, execution),
            instances=settings.runs_at_a_time,
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
        )

    metrics = Metrics()
    operations = Operations(settings, start_tracing(software_version()))
    sources, canaries = open_sources(settings)
    with bind(settings.host, settings.port) as listener:
        catalog = Catalog(list(sources), canary_share=settings.canary_share)
        if settings.bundle is not None:
            # Named by hand: what is wrong with it ends the server at once, and nothing is waited for.
            bundle = read_bundle(settings.bundle)
            name = settings.name or bundle.signature.lineage.recipe
            if not name:
                raise UsageError(f"{settings.bundle} names no recipe.", "Give the model a name with --name.")
            catalog, sources = Catalog([name]), {name: DirectorySource(name, settings.bundle)}
            found = bundle_version(name, bundle.signature_sha256)
            served = Served(name, found.version, load(bundle), verdict=found.verdict, identity=found.identity)
            catalog.slots[name].swap(served)
            metrics.models.model_served(name, served.version, served.verdict)
        watcher = Watcher(
            sources,
            catalog,
            metrics,
            load,
            canaries=canaries,
            poll_seconds=settings.poll_seconds,
            require_verdict=settings.require_verdict,
        )
        app = create_app(catalog, metrics, settings, watcher, operations)
        try:
            serve(app, listener, catalog, settings, beside(app))
        finally:
            if operations.tracing:
                operations.tracing.close()


if __name__ == "__main__":
    sys.exit(main())
