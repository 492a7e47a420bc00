#!/bin/sh
# Makes the fleet's home folder once, points its settings at the other containers, and puts
# the root document where the agents read it.
set -eu
home=${MODELWAVE_HOME:-/var/lib/modelwave/home}
enrolment=${MODELWAVE_ENROLMENT:-/var/lib/modelwave/enrolment}
if [ ! -e "$home/root.json" ]; then
  modelwave --home "$home" init "$MODELWAVE_FLEET"
  sed -i \
    -e 's|^url = "mqtt://.*"|url = "mqtt://broker:1883"|' \
    -e 's|^listen = .*|listen = "0.0.0.0:8180"|' \
    -e 's|^urls = .*|urls = ["http://controller:8180/files"]|' \
    "$home/controller.toml"
fi
cp "$home/root.json" "$enrolment/root.json"
