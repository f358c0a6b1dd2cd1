# Two programs, two images: `docker build --target indexer .` and `docker build --target service .`
FROM python:3.11-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 FOOTNOTE_INDEX=/data/index
RUN useradd --uid 10001 --create-home footnote && mkdir -p /data && chown footnote /data
WORKDIR /app
COPY requirements/ requirements/

FROM base AS indexer
# The registry to take torch's CPU build from, where the default one does not have it.
ARG TORCH_INDEX=
RUN pip install --no-cache-dir --no-deps ${TORCH_INDEX:+--index-url $TORCH_INDEX} -r requirements/torch.txt \
 && pip install --no-cache-dir --no-deps --require-hashes -r requirements/indexer.lock
COPY pyproject.toml README.md LICENSE ./
COPY store/ store/
COPY indexer/ indexer/
COPY service/ service/
COPY evaluation/ evaluation/
COPY footnote/ footnote/
ENV PYTHONPATH=/app
USER footnote
VOLUME /data
ENTRYPOINT ["python", "-m", "footnote"]
CMD ["index", "/corpus"]

FROM base AS service
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements/service.lock
COPY pyproject.toml README.md LICENSE ./
COPY store/ store/
COPY indexer/ indexer/
COPY service/ service/
COPY evaluation/ evaluation/
COPY footnote/ footnote/
ENV PYTHONPATH=/app
USER footnote
# The index may be mounted read-only: docker run -v footnote-data:/data:ro
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["python", "-m", "footnote"]
CMD ["serve", "--host", "0.0.0.0"]
