"""Brings alerts to people: by a signed webhook, or by a command of the operator's.

settings.py   the tables [[alerts]] of controller.toml
signing.py    signs a webhook, as Standard Webhooks say
webhook.py    posts it
program.py    runs a command
carrier.py    brings a message by the one or the other, once

What an alert says is decided in rollout/alerts.py and rollout/alert_message.py, and when it is sent
in service/alerting.py.
"""
