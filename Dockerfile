# The service alone: no compiler, no pip, no embedded store. BASE_IMAGE is any Debian-based Python,
# 3.11 or newer. HEALTHCHECK needs docker's image format (buildah: --format docker), which
# tools/image.sh asks for.
ARG BASE_IMAGE=python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS build
WORKDIR /app

# Debian keeps the venv module in a package of its own.
RUN python3 -c 'import ensurepip' 2>/dev/null || \
    { apt-get update -q && apt-get install -qy --no-install-recommends python3-venv; }

# Two environments, so that the one that is kept has no pip. The secrets `pip` and `ca` (an index
# configuration, certificates) are optional, and there while this step runs only.
COPY requirements.lock .
RUN --mount=type=secret,id=pip --mount=type=secret,id=ca \
    if [ -s /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi; \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python3 -m venv /build && python3 -m venv --without-pip /app/venv && \
    /build/bin/python -m pip --python /app/venv/bin/python install \
      --quiet --disable-pip-version-check --no-cache-dir --no-compile \
      --require-hashes --only-binary :all: -r requirements.lock

COPY . .
# Compiled here: at run time nothing below /app can be written. The checkout's umask must not count.
RUN rm requirements.lock && \
    python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /app && \
    chmod -R u=rwX,go=rX /app

FROM ${BASE_IMAGE}
# Where a relative SQLite file lands; mount a volume to keep it, or use Postgres.
RUN mkdir -m 0700 /data && chown 10001:10001 /data
COPY --from=build /app /app

ENV PATH=/app/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    UPLOADGATE_HTTP__HOST=0.0.0.0

WORKDIR /data
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM

# http.client, because urllib would ask a proxy of the environment.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import http.client as h, os, sys; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('UPLOADGATE_HTTP__PORT', '8080')), timeout=2); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]

CMD ["python", "-m", "cli.main", "serve"]
