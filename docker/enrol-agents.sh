#!/bin/sh
# Enrols the agents of the compose file, and puts what each has to have into its own volume.
set -eu
: "${MODELWAVE_DEVICES:?}"
modelwave device enrol "$@" --target linux-cpu --model digits --out "$MODELWAVE_DEVICES/new"
for device; do
  mv "$MODELWAVE_DEVICES/new/$device"/* "$MODELWAVE_DEVICES/$device/"
done
rm -r "$MODELWAVE_DEVICES/new"
