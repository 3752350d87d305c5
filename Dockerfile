# Service and demo, on the CPU. See docs/guides/service.md.
FROM python:3.13.9-slim-trixie AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels --constraint constraints.txt '.[serve,demo]'

FROM python:3.13.9-slim-trixie
# The versions are those of the wheels that were built.
# hadolint ignore=DL3013
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'flipdetect[serve,demo]' \
    && useradd --system --uid 10001 --no-create-home flipdetect \
    && install -d -o flipdetect -g flipdetect /jobs
ENV MPLCONFIGDIR=/tmp/matplotlib PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001
WORKDIR /jobs
VOLUME /jobs
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/health'); raise SystemExit(c.getresponse().status >= 500)"]
ENTRYPOINT ["flipdetect"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--jobs", "/jobs"]
