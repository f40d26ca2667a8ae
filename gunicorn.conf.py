"""What every start of gunicorn shares; the application itself decides whom it believes (TRUSTED_PROXIES)."""

# Without this gunicorn takes X-Forwarded-Proto from anything on 127.0.0.1.
forwarded_allow_ips = ""
