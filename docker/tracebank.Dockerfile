# tracebank with Dagster: one image for the webserver, the daemon, the code location and the workers.
# Build from the repository's root: docker build -f docker/tracebank.Dockerfile -t tracebank:0.1.0 .
# EXTRAS chooses what is installed, e.g. --build-arg EXTRAS=postgres,tsdb,models,docker
FROM python:3.11.14-slim-bookworm
ARG EXTRAS=postgres,tsdb,docker
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /opt/tracebank
COPY pyproject.toml constraints.txt README.md ./
COPY platform platform
COPY schemas schemas
COPY models models
COPY benchmarks benchmarks
COPY assets assets
RUN pip install --constraint constraints.txt ".[${EXTRAS}]" \
 && useradd --uid 10001 --create-home --home-dir /var/lib/tracebank tracebank \
 && install -d -o tracebank -g tracebank /var/lib/tracebank/dagster /var/lib/tracebank/files
COPY --chown=tracebank:tracebank assets/tracebank_assets/instance/dagster.postgres.yaml /var/lib/tracebank/dagster/dagster.yaml
ENV TRACEBANK_HOME=/var/lib/tracebank/files DAGSTER_HOME=/var/lib/tracebank/dagster
# Not where the sources lie: only the installed package is used, and no .env is beside it.
WORKDIR /var/lib/tracebank
USER tracebank
EXPOSE 3000 4000 8080
CMD ["dagster-webserver", "-h", "0.0.0.0", "-p", "3000", "-w", "/var/lib/tracebank/dagster/workspace.yaml"]
