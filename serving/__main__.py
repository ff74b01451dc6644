"""``python -m serving NAME...`` or ``python -m serving --bundle DIR``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from serving.errors import ServingError, UsageError
from serving.operations.logs import configure_logging
from serving.settings import Settings, read_settings

ENDED_BY_PERSON = 130  # what shells give for Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop.

    Returns:
        The exit code: 0 stopped as asked, 1 a clear error, 2 wrong use.
    """
    try:
        settings = _settings(sys.argv[1:] if arguments is None else arguments)
        configure_logging(settings.log_format, settings.log_level)
        _serve(settings)
    except ServingError as error:
        print(f"ganvas-serve: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return ENDED_BY_PERSON
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}.", "See python -m serving --help.")


def _settings(arguments: Sequence[str]) -> Settings:
    parser = _Parser(
        prog="ganvas-serve",
        description="Serve generative models from a registry or a bundle directory.",
        epilog="Every setting is also GANVAS_SERVE_<NAME> in the environment; flags win.",
    )
    parser.add_argument("models", nargs="*", metavar="NAME", help="registered models")
    parser.add_argument("--alias", help="the alias that is followed (champion)")
    parser.add_argument("--tracking-uri", help="MLflow's address (MLFLOW_TRACKING_URI, or ./runs/mlflow.db)")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="serve this directory instead of a registry")
    parser.add_argument("--name", help="name of the bundle's model (the recipe it was made by)")
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for a free one (8000)")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="where graphs run (cpu)")
    parser.add_argument("--poll-seconds", type=float, help="time between two looks at the alias (5)")
    parser.add_argument("--drain-seconds", type=float, help="time of 'not ready' before the socket closes (1)")
    parser.add_argument(
        "--require-verdict",
        action="store_true",
        default=None,
        help="refuse versions that did not pass the gate",
    )
    given = vars(parser.parse_args(list(arguments)))
    given["models"] = tuple(given["models"]) or None
    if given["bundle"] is not None and given["models"] is None:
        given["models"] = ()  # a flag wins over names in the environment
    return read_settings(**given)


def _serve(settings: Settings) -> None:
    # Late: `--help` and a wrong flag answer at once.
    from serving.bundle.reader import Bundle, read_bundle
    from serving.catalog import BUNDLE_VERSION, Catalog, Served
    from serving.http.app import create_app
    from serving.http.beside import beside
    from serving.http.server import bind, serve
    from serving.metrics import Metrics
    from serving.operations.operations import Operations
    from serving.operations.tracing import start_tracing
    from serving.predict.model import load_model
    from serving.predict.predictor import Predictor
    from serving.predict.sessions import Execution
    from serving.registry.reader import open_registry
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
    with bind(settings.host, settings.port) as listener:
        watcher = None
        if settings.bundle is not None:
            bundle = read_bundle(settings.bundle)
            name = settings.name or bundle.signature.lineage.recipe
            if not name:
                raise UsageError(f"{settings.bundle} names no recipe.", "Give the model a name with --name.")
            catalog = Catalog([name])
            served = Served(name, BUNDLE_VERSION, load(bundle))
            catalog.slots[name].swap(served)
            metrics.model_served(name, served.version, served.verdict)
        else:
            catalog = Catalog(settings.models)
            watcher = Watcher(
                open_registry(settings.registry_uri, download_seconds=settings.download_seconds),
                catalog,
                metrics,
                load,
                alias=settings.alias,
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
