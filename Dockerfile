# The product without compilers, tests or embedded servers.
FROM python:3.13-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin cml
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py gunicorn.conf.py ./
COPY config config
COPY monitoring monitoring
COPY cohorts cohorts
COPY tasks tasks
COPY templates templates
COPY static static
COPY locale locale
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VAR_DIR=/var/lib/cml REMAP_SIGTERM=SIGQUIT
RUN python -m compileall -q config monitoring cohorts tasks && mkdir -p /var/lib/cml && \
    SECRET_KEY=only-while-the-image-is-built-0123456789 IDENTITY_KEY=only-while-the-image-is-built-0123456789 \
    DATABASE_URL=postgresql://none REDIS_URL=redis://none python manage.py collectstatic --noinput -v0 && \
    chown -R cml /var/lib/cml
USER cml
EXPOSE 8000
CMD ["gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "4", "--max-requests", "5000", "--max-requests-jitter", "500"]
