# `make base-image` adds the digest that this tag has now, or renews it.
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS packages
COPY requirements.txt /
RUN python -m venv /opt/registry \
 && /opt/registry/bin/pip install --no-cache-dir --require-hashes --requirement /requirements.txt


FROM ${BASE}
# Both folders belong to user 10001 before they become volumes: a new volume takes over the owner.
RUN useradd --uid 10001 --no-create-home --home-dir /srv/registry --shell /usr/sbin/nologin registry \
 && install --directory --owner=registry --group=registry --mode=0700 /data/registry /data/keys
COPY --from=packages /opt/registry /opt/registry
COPY config.container.yaml /etc/registry/config.yaml
COPY . /srv/registry

ENV PATH=/opt/registry/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CONFIG_PATH=/etc/registry/config.yaml
WORKDIR /srv/registry
USER 10001
VOLUME ["/data/registry", "/data/keys"]
EXPOSE 5000
# Not urllib: docker puts the proxies of its client's configuration into the environment, and urllib would ask them.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 5000, timeout=8); c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["gunicorn"]
