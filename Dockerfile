# Two images, each from its own hashed lock file under deploy/locks; all of them agree with requirements.lock.
# `pipeline` trains, judges and promotes; `serving` answers requests, without torch. docs/containers.md says more.
#
#   docker build --target pipeline -t ganvas-pipeline:local --build-arg CODE_REVISION="$(git describe --always --dirty --abbrev=40 --exclude='*')" .
#   docker build --target serving  -t ganvas-serving:local  --build-arg CODE_REVISION="$(git describe --always --dirty --abbrev=40 --exclude='*')" .
#
# `make images` does both. With --build-arg SERVING_LOCK=serving-cuda the serving image brings CUDA's libraries. The same
# with podman (add --format docker, for the health check) and with buildah (add --layers as well, to rebuild seconds).
# Any base will do that has python3 of 3.11 or newer with venv, and useradd.

ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS base
# Only /tmp has to be writable, and it is every user's home: kfp.local runs steps as whoever started it.
ENV PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PATH=/opt/ganvas/bin:$PATH HOME=/tmp
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin ganvas

FROM base AS code
WORKDIR /src
COPY requirements-bootstrap.lock deploy/locks/build.lock ./
RUN python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock \
    && VIRTUAL_ENV=/opt/tools /opt/tools/bin/uv pip install --no-cache --require-hashes -r build.lock
COPY pyproject.toml README.md ./
COPY models models
COPY components components
COPY pipelines pipelines
COPY serving serving
# Into an empty environment at the place where it will be used, whose files are then laid upon the packages.
RUN VIRTUAL_ENV=/opt/tools /opt/tools/bin/uv build --wheel --no-build-isolation --python /opt/tools/bin/python --out-dir /wheels \
    && python3 -m venv --without-pip /opt/ganvas \
    && VIRTUAL_ENV=/opt/ganvas /opt/tools/bin/uv pip install --no-cache --no-deps --compile-bytecode /wheels/*.whl

# Packages first, our own code last: an edit of the code rebuilds seconds. The installer comes and goes within the
# instruction that needs it. A stage of its own would cost another copy of every package, several GB, and a mount from
# that stage fails in buildah 1.28 as soon as the stage is cached. uv leaves a lock behind that anybody may write to.
# kfp-server-api alone has no wheel: it is built, by a backend out of build.lock, whose hash is checked as any other's.
FROM base AS pipeline
LABEL org.opencontainers.image.title="ganvas-pipeline" \
    org.opencontainers.image.description="The steps of ganvas: prepare, train, export, evaluate and promote a generative model" \
    org.opencontainers.image.version="0.1.0"
COPY requirements-bootstrap.lock deploy/locks/build.lock deploy/locks/pipeline.lock /opt/ganvas/locks/
RUN python3 -m venv /tmp/tools \
    && /tmp/tools/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r /opt/ganvas/locks/requirements-bootstrap.lock \
    && python3 -m venv --without-pip /opt/ganvas \
    && VIRTUAL_ENV=/opt/ganvas /tmp/tools/bin/uv pip install --no-cache --compile-bytecode --only-binary :all: --no-binary kfp-server-api \
        --build-constraints /opt/ganvas/locks/build.lock --require-hashes -r /opt/ganvas/locks/pipeline.lock \
    && rm -rf /tmp/tools /opt/ganvas/.lock
COPY --from=code /opt/ganvas/bin/ganvas /opt/ganvas/bin/
COPY --from=code /opt/ganvas/lib /opt/ganvas/lib
# The lineage of every model names it; the build sees no git. Last, so that another commit rebuilds nothing else. Of what
# follows an argument buildah and podman 4 look only at the text, unless it is a RUN: without one, the label and the
# lineage would be those of the build before.
ARG CODE_REVISION=""
RUN : "$CODE_REVISION"
LABEL org.opencontainers.image.revision=$CODE_REVISION
ENV GANVAS_CODE_REVISION=$CODE_REVISION
USER 10001
WORKDIR /tmp
ENTRYPOINT []
CMD ["ganvas", "doctor"]

FROM base AS serving
LABEL org.opencontainers.image.title="ganvas-serving" \
    org.opencontainers.image.description="Generative models over HTTP and gRPC by the Open Inference Protocol" \
    org.opencontainers.image.version="0.1.0"
ARG SERVING_LOCK=serving
COPY requirements-bootstrap.lock deploy/locks/${SERVING_LOCK}.lock /opt/ganvas/locks/
RUN python3 -m venv /tmp/tools \
    && /tmp/tools/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r /opt/ganvas/locks/requirements-bootstrap.lock \
    && python3 -m venv --without-pip /opt/ganvas \
    && VIRTUAL_ENV=/opt/ganvas /tmp/tools/bin/uv pip install --no-cache --compile-bytecode --only-binary :all: \
        --require-hashes -r "/opt/ganvas/locks/${SERVING_LOCK}.lock" \
    && rm -rf /tmp/tools /opt/ganvas/.lock
COPY --from=code /opt/ganvas/bin/ganvas-serve /opt/ganvas/bin/
COPY --from=code /opt/ganvas/lib /opt/ganvas/lib
ARG CODE_REVISION=""
RUN : "$CODE_REVISION"
LABEL org.opencontainers.image.revision=$CODE_REVISION
USER 10001
WORKDIR /tmp
# Defaults, which flags and the environment change.
ENV GANVAS_SERVE_HOST=0.0.0.0 GANVAS_SERVE_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python3", "-c", "\
import http.client, os, sys; \
connection = http.client.HTTPConnection('127.0.0.1', int(os.environ['GANVAS_SERVE_PORT']), timeout=2); \
connection.request('GET', '/v2/health/live'); \
sys.exit(connection.getresponse().status != 200)"]
ENTRYPOINT ["ganvas-serve"]
