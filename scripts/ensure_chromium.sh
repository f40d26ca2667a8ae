#!/bin/sh
# The browser journeys need Debian's Chromium. Install it where that is possible, otherwise say so and go on.
set -u
command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the browser journeys …"
    if apt-get update -qq >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-noto-cjk fonts-dejavu-core >/dev/null 2>&1; then
        exit 0
    fi
fi
echo "Chromium is not installed and cannot be installed here: the browser journeys will NOT run."
