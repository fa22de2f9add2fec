# syntax=docker/dockerfile:1
ARG PYTHON_VERSION=3.11.14
ARG DEBIAN_RELEASE=bookworm

# The full image has a compiler and headers, so this stage installs no system package.
FROM python:${PYTHON_VERSION}-${DEBIAN_RELEASE} AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Every package comes from a lock, with its hash.
COPY locks ./locks
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --requirement locks/build.txt \
    && python -m venv /opt/leaderboard \
    && /opt/leaderboard/bin/pip install --require-hashes --requirement locks/runtime.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY _speedups ./_speedups
COPY board ./board
COPY service ./service
COPY relay ./relay
COPY ctl ./ctl
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .
WORKDIR /
# Without the compiled kernels the image would work, slowly: the build fails instead.
RUN /opt/leaderboard/bin/pip install --no-deps --no-index /wheels/*.whl \
    && /opt/leaderboard/bin/pip check \
    && LEADERBOARD_IMPL=c /opt/leaderboard/bin/python -c "import _speedups._c" \
    && /opt/leaderboard/bin/leaderboard --help > /dev/null \
    && /opt/leaderboard/bin/pip uninstall --yes setuptools pip

FROM python:${PYTHON_VERSION}-slim-${DEBIAN_RELEASE} AS runtime
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="leaderboard-server" \
      org.opencontainers.image.description="Self-hosted game leaderboards on PostgreSQL and Redis" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 leaderboard \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin leaderboard
COPY --from=build /opt/leaderboard /opt/leaderboard
ENV PATH=/opt/leaderboard/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LEADERBOARD_BIND=0.0.0.0:8080
WORKDIR /tmp
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-I", "-m", "service.health.check"]
ENTRYPOINT ["leaderboard"]
CMD ["serve"]
