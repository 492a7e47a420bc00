"""Sends the traces of rollouts to an OpenTelemetry collector.

settings.py   the table [tracing] of controller.toml
span.py       what is sent of a trace
sender.py     sends spans by OTLP over HTTP; it alone needs the extra modelwave[otel]

What a trace has is decided in rollout/traces.py, and when it is sent in service/traced.py.
"""
