# The image of `reelbench merge` and `reelbench report`: the suite with the libraries of the reports.
#   docker build -f deploy/reports.Dockerfile --build-arg PYTHON_IMAGE=python:3.13.7-slim-bookworm -t reelbench-reports:0.2.0 .
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}
ENV PATH=/opt/reelbench/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR=/tmp HOME=/tmp
RUN python -m venv --without-pip /opt/reelbench && useradd --uid 10001 --create-home reelbench
COPY requirements.lock ./
RUN pip --python /opt/reelbench/bin/python install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
WORKDIR /app
COPY pyproject.toml .env ./
COPY reelbench ./reelbench
COPY loadgen ./loadgen
COPY reporting ./reporting
COPY stack ./stack
COPY suite ./suite
# The files of a clone made with umask 077 are readable for its owner only. An empty volume at /data gets the owner of the
# folder, and this container can be the first one that mounts the volume of the shares.
RUN chmod -R a+rX /app && mkdir /data && chown reelbench /data
USER 10001
ENTRYPOINT ["python", "-m", "reelbench"]
