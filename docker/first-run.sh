#!/bin/sh
# Makes the fleet once: its keys and its authority in the operator's home, and from that the home of
# the service, which gets no offline key. It asks for the passphrase of the offline keys.
set -eu
: "${MODELWAVE_FLEET:?}" "${MODELWAVE_OFFLINE_HOME:?}" "${MODELWAVE_HOME:?}" "${MODELWAVE_SECRET:?}"
: "${MODELWAVE_BROKER_HOSTS:?}" "${MODELWAVE_API_HOSTS:?}"
if [ -e "$MODELWAVE_HOME/root.json" ]; then
  echo "first-run: the fleet is there already"
  exit
fi
umask 077
if [ -z "${MODELWAVE_PASSPHRASE:-}" ]; then # else it would be asked for five times
  trap 'stty echo' EXIT
  stty -echo
  printf 'Passphrase of the offline keys (new): '
  read -r MODELWAVE_PASSPHRASE
  printf '\nRepeat it: '
  read -r again
  printf '\n'
  stty echo
  trap - EXIT
  [ "$MODELWAVE_PASSPHRASE" = "$again" ] || { echo "first-run: they differ" >&2; exit 1; }
  export MODELWAVE_PASSPHRASE
fi

modelwave --home "$MODELWAVE_OFFLINE_HOME" init "$MODELWAVE_FLEET"
modelwave --home "$MODELWAVE_OFFLINE_HOME" ca init
# shellcheck disable=SC2086 # several names
modelwave --home "$MODELWAVE_OFFLINE_HOME" ca server $MODELWAVE_BROKER_HOSTS
modelwave --home "$MODELWAVE_OFFLINE_HOME" ca controller
# shellcheck disable=SC2086 # several names
modelwave --home "$MODELWAVE_OFFLINE_HOME" ca api $MODELWAVE_API_HOSTS
python -c 'import secrets; print(secrets.token_urlsafe(32))' > "$MODELWAVE_SECRET/database-password"

cd "$MODELWAVE_OFFLINE_HOME"
mv broker/* "$MODELWAVE_HOME/broker/"
mv order.key report.key ca controller.toml "$MODELWAVE_HOME/"
mkdir ca
cp "$MODELWAVE_HOME"/ca/ca.* ca/ # for later certificates
cat > "$MODELWAVE_HOME/controller.toml" <<SETTINGS
fleet = "$MODELWAVE_FLEET"

[broker]
url = "mqtts://broker:8885"
user = "controller"
password_file = "controller.password"
ca = "ca/ca.pem"
certificate = "ca/controller.pem"
key = "ca/controller.key"

[database]
url = "postgresql+psycopg://modelwave@database/modelwave"
password_file = "$MODELWAVE_SECRET/database-password"

[files]
listen = "0.0.0.0:8180"
urls = ["http://controller:8180/files"]

[api]
listen = "0.0.0.0:8181"
certificate = "ca/api.pem"
key = "ca/api.key"

[devices]
proof = "require"
unknown = "approve"
broker = "mqtts://broker:8883"
private_networks = true
SETTINGS
printf 'fleet = "%s"\n' "$MODELWAVE_FLEET" > controller.toml
cp root.json "$MODELWAVE_HOME/root.json"
