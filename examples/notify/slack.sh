#!/bin/sh
# Post the news of a run to Slack, or to another chat with such webhooks:
# SLACK_WEBHOOK=https://hooks.slack.com/services/... pytest --notify=/srv/cluster/notify/slack.sh
# The URL is a secret, and curl reads it from its standard input. $SYNCTOOL_NEWS has nothing that JSON would need to escape.
set -eu
printf 'url = "%s"\n' "$SLACK_WEBHOOK" | curl --fail --silent --show-error --max-time 30 --config - \
    -H "Content-Type: application/json" --data "{\"text\": \"synctool: $SYNCTOOL_NEWS\"}"
