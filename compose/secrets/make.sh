#!/bin/sh
# Draws the pipeline's passwords, once: each service's into a volume of its own, which nobody else mounts. They never
# leave the machine and stand in no file of this folder. What is there already stays.
set -eu
umask 077

draw() { head -c 32 /dev/urandom | sha256sum | cut -c 1-48; }

# A service reads its own as whatever user it runs as.
keep() {
  file=/secrets/$1
  [ -s "$file" ] && return
  mkdir -p "$(dirname "$file")"
  printf '%s' "$2" >"$file.part"
  chmod 444 "$file.part"
  mv "$file.part" "$file"
}

keep minio/user gridwatch
keep minio/password "$(draw)"
keep gridwatch/token "$(draw)"
keep grafana/password "$(draw)"
keep influxdb/user gridwatch
keep influxdb/password "$(draw)"
keep influxdb/token "$(draw)"
keep mongodb/user gridwatch
keep mongodb/password "$(draw)"
keep postgres/password "$(draw)"
chmod 755 /secrets/*
