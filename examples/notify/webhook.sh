#!/bin/sh
# Post drift.json to a program of your own: pytest --notify='/srv/cluster/notify/webhook.sh https://example.org/drift'
set -eu
exec curl --fail --silent --show-error --max-time 30 -H "Content-Type: application/json" -H "X-Synctool-News: $SYNCTOOL_NEWS" \
    --data-binary @- "$1"
