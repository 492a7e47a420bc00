#!/bin/sh
# Makes the fleet's home folder once, points its settings at the other containers, and puts
# the root document where the agents read it.
set -eu
home=/var/lib/modelwave/home
if [ ! -e "$home/root.json" ]; then
  modelwave --home "$home" init "$MODELWAVE_FLEET"
  sed -i \
    -e 's|^url = "mqtt://.*"|url = "mqtt://broker:1883"|' \
    -e 's|^listen = .*|listen = "0.0.0.0:8180"|' \
    -e 's|^urls = .*|urls = ["http://controller:8180/files"]|' \
    "$home/controller.toml"
fi
cp "$home/root.json" /var/lib/modelwave/enrolment/root.json
