# Two images, each from its own hashed lock file under deploy/locks; all of them agree with requirements.lock.
# `pipeline` trains, judges and promotes; `serving` answers requests, without torch.
#
#   docker build --target pipeline -t ganvas-pipeline:local --build-arg CODE_REVISION="$(git describe --always --dirty --abbrev=40 --exclude='*')" .
#   docker build --target serving  -t ganvas-serving:local .

ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS base
ENV PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/ganvas/bin:$PATH
RUN useradd --uid 10001 --user-group --create-home --home-dir /home/ganvas ganvas
WORKDIR /src

FROM base AS tools
# Made here once: the tools that install stay out of both images.
COPY requirements-bootstrap.lock ./
RUN python3 -m venv /opt/tools && /opt/tools/bin/pip install --quiet --require-hashes -r requirements-bootstrap.lock

FROM tools AS wheel
COPY deploy/locks/build.lock pyproject.toml README.md ./
RUN VIRTUAL_ENV=/opt/tools /opt/tools/bin/uv pip install --no-cache --require-hashes -r build.lock
COPY models models
COPY components components
COPY pipelines pipelines
COPY serving serving
RUN VIRTUAL_ENV=/opt/tools /opt/tools/bin/uv build --wheel --no-build-isolation --python /opt/tools/bin/python --out-dir /wheels

# Packages first, our own wheel last: an edit of the code rebuilds seconds.
FROM tools AS pipeline-packages
COPY deploy/locks/pipeline.lock packages.lock
RUN python3 -m venv --without-pip /opt/ganvas \
    && VIRTUAL_ENV=/opt/ganvas /opt/tools/bin/uv pip install --no-cache --require-hashes -r packages.lock
COPY --from=wheel /wheels /wheels
RUN VIRTUAL_ENV=/opt/ganvas /opt/tools/bin/uv pip install --no-cache --no-deps /wheels/*.whl

FROM tools AS serving-packages
COPY deploy/locks/serving.lock packages.lock
RUN python3 -m venv --without-pip /opt/ganvas \
    && VIRTUAL_ENV=/opt/ganvas /opt/tools/bin/uv pip install --no-cache --require-hashes -r packages.lock
COPY --from=wheel /wheels /wheels
RUN VIRTUAL_ENV=/opt/ganvas /opt/tools/bin/uv pip install --no-cache --no-deps /wheels/*.whl

FROM base AS pipeline
LABEL org.opencontainers.image.title="ganvas-pipeline" org.opencontainers.image.description="Steps of the ganvas graph"
COPY --from=pipeline-packages /opt/ganvas /opt/ganvas
# The lineage of every model names it; the build sees no git. Last, so that another commit rebuilds nothing else.
ARG CODE_REVISION=""
ENV GANVAS_CODE_REVISION=$CODE_REVISION
USER 10001
WORKDIR /home/ganvas
ENTRYPOINT []
CMD ["ganvas", "doctor"]

FROM base AS serving
LABEL org.opencontainers.image.title="ganvas-serving" org.opencontainers.image.description="Generative models over HTTP"
COPY --from=serving-packages /opt/ganvas /opt/ganvas
USER 10001
WORKDIR /home/ganvas
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/live', timeout=2)"]
ENTRYPOINT ["ganvas-serve", "--host", "0.0.0.0"]
