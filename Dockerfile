# Two programs, two images:
#   docker build --target indexer -t footnote-indexer .      (torch; on aarch64 add a C compiler for pytrec-eval)
#   docker build --target service -t footnote .              (no torch)
#   docker run --rm -v footnote-data:/data -v "$PWD/corpus/pages:/corpus:ro" footnote-indexer
#   docker run --rm -p 127.0.0.1:8000:8000 -v footnote-data:/data:ro footnote
FROM python:3.11-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 FOOTNOTE_INDEX=/data/index
RUN useradd --uid 10001 --create-home footnote && install --directory --owner footnote /data
WORKDIR /app
COPY requirements/ requirements/

FROM base AS wheel
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY store/ store/
COPY indexer/ indexer/
COPY service/ service/
COPY evaluation/ evaluation/
COPY training/ training/
COPY footnote/ footnote/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM base AS indexer
# The registry that torch's CPU build comes from, where the default one has none.
ARG TORCH_INDEX=
RUN pip install --no-cache-dir --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r requirements/torch.txt \
 && pip install --no-cache-dir --no-deps --require-hashes -r requirements/indexer.lock
COPY --from=wheel /wheels/ /wheels/
RUN pip install --no-cache-dir --no-deps /wheels/*.whl && pip check
USER 10001
VOLUME /data
ENTRYPOINT ["footnote"]
CMD ["index", "/corpus"]

FROM base AS service
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements/service.lock
COPY --from=wheel /wheels/ /wheels/
RUN pip install --no-cache-dir --no-deps /wheels/*.whl && pip check
USER 10001
# Only read: mount it with :ro.
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["footnote"]
CMD ["serve", "--host", "0.0.0.0"]
