#!/bin/sh
# tell a daemon to read its configuration again: hupdaemon.sh NAME
pkill -HUP -x "$1"
