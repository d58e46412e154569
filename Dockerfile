# `make base-image` adds the digest that this tag has now, or renews it.
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS packages
# Those of the registry and of traces, which are 12 MB.
COPY requirements-traces.txt /
# Nothing is installed later: without pip the image has less to update.
RUN python -m venv /opt/registry \
 && /opt/registry/bin/pip install --no-cache-dir --require-hashes --requirement /requirements-traces.txt \
 && /opt/registry/bin/pip uninstall --yes pip
COPY . /srv/registry
# The root of a container may be read-only; without bytecode each command would compile the project again.
RUN python -m compileall -q /srv/registry


FROM ${BASE}
WORKDIR /tmp
# The client of PostgreSQL, for backups. Installed, it would bring perl and 67 MB; unpacked, it and its library have 4.4 MB.
# Their versions are those of the base's Debian.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libpq5 tini \
 && apt-get download postgresql-client-17 \
 && dpkg-deb --extract postgresql-client-17_*.deb client \
 && install client/usr/lib/postgresql/17/bin/pg_dump client/usr/lib/postgresql/17/bin/pg_restore /usr/local/bin \
 && rm -rf client ./*.deb /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
# A new volume takes over the owner of the folder that it is mounted on.
RUN useradd --uid 10001 --no-create-home --home-dir /srv/registry --shell /usr/sbin/nologin registry \
 && install --directory --owner=registry --group=registry --mode=0700 /data/registry /data/keys
COPY --from=packages /opt/registry /opt/registry
COPY config.container.yaml /etc/registry/config.yaml
COPY --from=packages /srv/registry /srv/registry

ENV PATH=/opt/registry/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CONFIG_PATH=/etc/registry/config.yaml
WORKDIR /srv/registry
USER 10001
EXPOSE 5000
# During the start period, failures do not count: a new version may migrate a large database first.
HEALTHCHECK --interval=30s --timeout=10s --start-period=15m CMD ["python", "-m", "registry_project.healthcheck"]
# The first process of a container ignores SIGTERM until it has a handler: a stop in the middle of a start would wait.
ENTRYPOINT ["tini", "--"]
CMD ["gunicorn"]

# Last, so that a new commit keeps the layers above. `make image` names the commit.
ARG REVISION=""
ARG SOURCE=""
ENV REGISTRY_REVISION=${REVISION}
LABEL org.opencontainers.image.title="registry" \
      org.opencontainers.image.description="A self-hosted registry of container images and OCI artifacts" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
