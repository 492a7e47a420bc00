#!/bin/sh
# Mails an alert of modelwave by the system's sendmail:  mail.sh ADDRESS
set -eu
{
    printf 'To: %s\nSubject: modelwave %s: %s\n' \
        "$1" "$MODELWAVE_ALERT_FLEET" "$MODELWAVE_ALERT_STATUS"
    printf 'Content-Type: text/plain; charset=utf-8\nMessage-ID: <%s@modelwave>\n\n' \
        "$MODELWAVE_ALERT_ID"
    printf '%s\n%s\n' "$MODELWAVE_ALERT_TEXT" "$MODELWAVE_ALERT_URL"
} | "${SENDMAIL:-/usr/sbin/sendmail}" -i -t
