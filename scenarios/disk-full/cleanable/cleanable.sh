#!/bin/sh
# Tells the node exporter how much of a file system could be deleted: cleanable_bytes{mountpoint="…"}.
#
#   cleanable.sh MOUNTPOINT PATTERN MINUTES     files there of that name that nothing was written to for so long
set -eu
file=${TEXTFILES:-/var/lib/prometheus/node-exporter}/cleanable.prom
bytes=$(find "$1" -xdev -type f -name "$2" -mmin "+$3" -printf '%b\n' | awk '{ sum += $1 * 512 } END { printf "%.0f", sum }')
# Put in place at once: nobody reads half a file.
printf 'cleanable_bytes{mountpoint="%s"} %s\n' "$1" "$bytes" >"$file.part"
mv "$file.part" "$file"
