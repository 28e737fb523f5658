#!/bin/sh
# Mail the news of a run: pytest --notify='/srv/cluster/notify/mail.sh admin@example.org'
# It needs `mail`, and jq for the list of what has drifted.
set -eu
{
    echo "$SYNCTOOL_NEWS"
    echo
    jq -r '(.nodes[] | select(.error) | "\(.node): \(.error)"),
        (.results[] | select(.outcome == "drift" or .outcome == "error") | "\(.node): \(.path) \(.message)")'
    echo
    echo "Reports: $SYNCTOOL_REPORTS"
} | mail -s "synctool: $SYNCTOOL_NEWS" "$1"
