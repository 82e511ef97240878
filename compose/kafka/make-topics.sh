#!/bin/sh
# Makes the topics of the file beside it, in a container of Kafka's own image.
set -eu
brokers=$1
file=$2
grep -v '^#' "$file" | while read -r name partitions settings; do
  set -- --bootstrap-server "$brokers" --create --if-not-exists --topic "$name" --partitions "$partitions" --replication-factor 1
  for setting in $settings; do set -- "$@" --config "$setting"; done
  # Its own words go to the log; standard input is the list's.
  /opt/kafka/bin/kafka-topics.sh "$@" </dev/null
done
