"""The Python client of a controller's API: `Remote` asks calls (api/), `Client` has a method for
each.
"""

from modelwave_controller.client.remote import Remote

__all__ = ["Remote"]
