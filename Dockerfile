# healgate with ansible-core and Docker's client; not root, and nothing in it that can be written but its data.
#
#   docker build -t healgate .                      compiles
#   docker build -t healgate --target packed .      takes target/image/healgate, compiled before on the same Debian
#   … --build-arg WITH_KUBERNETES=yes               also holds the collection kubernetes.core, for playbooks/kubernetes
#
# Base images are arguments, so that a mirror or a digest can be given: --build-arg BASE=debian@sha256:…
# Nothing is fetched but Debian's packages, what requirements.txt pins, and the crates that Cargo.lock pins.
ARG RUST=rust:1.95-slim-bookworm
ARG BASE=debian:bookworm-20250929-slim
ARG DOCKER=docker:28.5.1-cli

FROM ${DOCKER} AS docker

FROM ${BASE} AS python
ARG WITH_KUBERNETES=no
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates python3 python3-venv >/dev/null
COPY requirements.txt /tmp/
COPY packaging/kubernetes/requirements.txt /tmp/kubernetes.txt
# Compiled by hash, not by time: the same input gives the same files, and Ansible starts without compiling.
RUN python3 -m venv /opt/ansible \
 && /opt/ansible/bin/pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile --only-binary :all: \
        --requirement /tmp/requirements.txt \
 && if [ "$WITH_KUBERNETES" = yes ]; then \
        /opt/ansible/bin/pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile --only-binary :all: \
            --constraint /tmp/requirements.txt --requirement /tmp/kubernetes.txt \
        # The one collection out of the bundle of all.
        && /opt/ansible/bin/pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: \
            --dest /tmp/bundle ansible==12.3.0 \
        && python3 -m zipfile -e /tmp/bundle/*.whl /tmp/bundle \
        && install -d /tmp/bundle/kept && mv /tmp/bundle/ansible_collections/kubernetes /tmp/bundle/kept/ \
        && mv /tmp/bundle/kept "$(echo /opt/ansible/lib/python3*/site-packages)/ansible_collections"; \
    fi \
 && /opt/ansible/bin/pip uninstall --quiet --yes pip setuptools \
 && rm -rf /opt/ansible/lib/python3*/site-packages/ansible_test \
 && find /opt/ansible -name __pycache__ -prune -exec rm -rf {} + \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/ansible/lib

FROM ${BASE} AS system
# tini is process 1: it takes the children that ended playbooks leave behind.
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        ca-certificates openssh-client python3 tini >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/aux-cache /var/log/* \
 && groupadd --system --gid 10001 healgate \
 && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/healgate --shell /usr/sbin/nologin healgate \
 && install -d -m 700 -o healgate -g healgate /var/lib/healgate \
 && install -d -m 755 /etc/healgate
COPY --from=docker /usr/local/bin/docker /usr/local/bin/docker
COPY --from=python /opt/ansible /opt/ansible
COPY ansible.cfg /usr/share/healgate/ansible.cfg
COPY inventory /usr/share/healgate/inventory
COPY playbooks /usr/share/healgate/playbooks
ENV PATH=/opt/ansible/bin:/usr/local/bin:/usr/bin:/bin HOME=/var/lib/healgate LANG=C.UTF-8
WORKDIR /var/lib/healgate
VOLUME /var/lib/healgate
USER healgate
EXPOSE 8750
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python3", "-I", "-c", "import urllib.request as http; http.urlopen('http://127.0.0.1:8750/readyz', timeout=4)"]
ENTRYPOINT ["/usr/bin/tini", "--", "healgate"]
CMD ["serve", "--config", "/etc/healgate/healgate.yml"]

FROM system AS packed
COPY target/image/healgate /usr/local/bin/healgate

FROM ${RUST} AS compiled
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# Cargo wants to see every target that Cargo.toml names.
RUN mkdir -p tests/it benches/gateway && touch tests/it/main.rs benches/gateway/main.rs
COPY migrations migrations
COPY python python
COPY src src
RUN cargo build --quiet --locked --release --bin healgate

FROM system AS healgate
COPY --from=compiled /src/target/release/healgate /usr/local/bin/healgate
