"""Signed envelopes, each a line of what it is. Made by make_signed.py; do not edit."""

# by two of its three root keys
ROOT = (
    b'{"payload":"eyJlcG9jaCI6MCwiZmxlZXQiOiJkZW1vIiwia2V5cyI6eyIzNDc1MGY5OCI6IjhhODhlM2RkNzQw'
    b"OWYxOTVmZDUyZGIyZDNjYmE1ZDcyY2E2NzA5YmYxZDk0MTIxYmYzNzQ4ODAxYjQwZjZmNWMiLCI2YTM4MDNkNSI6"
    b"IjgxMzk3NzBlYTg3ZDE3NWY1NmEzNTQ2NmMzNGM3ZWNjY2I4ZDhhOTFiNGVlMzdhMjVkZjYwZjViOGZjOWIzOTQi"
    b"LCI3NTk5Nzc2YyI6IjZlN2ExY2RkMjliMGI3OGZkMTNhZjRjNTU5OGZlZmY0ZWYyYTk3MTY2ZTNjYTZmMmU0ZmJm"
    b"Y2NkODA1MDViZjEiLCJiNjJlODY3ZiI6ImVkNDkyOGM2MjhkMWMyYzZlYWU5MDMzODkwNTk5NTYxMjk1OTI3M2E1"
    b"YzYzZjkzNjM2YzE0NjE0YWM4NzM3ZDEiLCJjNWI5NDBlZCI6ImNhOTNhYzE3MDUxODcwNzFkNjdiODNjN2ZmMGVm"
    b"ZTgxMDhlOGVjNDUzMDU3NWQ3NzI2ODc5MzMzZGJkYWJlN2MifSwibWluaW11bSI6e30sInJvbGVzIjp7Im9yZGVy"
    b"Ijp7ImtleWlkcyI6WyI3NTk5Nzc2YyJdLCJ0aHJlc2hvbGQiOjF9LCJyZWxlYXNlIjp7ImtleWlkcyI6WyJjNWI5"
    b"NDBlZCJdLCJ0aHJlc2hvbGQiOjF9LCJyb290Ijp7ImtleWlkcyI6WyIzNDc1MGY5OCIsIjZhMzgwM2Q1IiwiYjYy"
    b'ZTg2N2YiXSwidGhyZXNob2xkIjoyfX0sInYiOjF9","payloadType":"application/vnd.modelwave.root+'
    b'json","signatures":[{"keyid":"34750f98","sig":"Mk2UmHULmxzODl4pjlubUtnyAZq325KotaG+jOgIz'
    b'p0o2J9B5tFIUsahkaz8xw3ub8izA3VMgn3bJuo4K6hXCw=="},{"keyid":"6a3803d5","sig":"z2PWkyfunCy'
    b'd4dUUoYpM/zqNJp11u1C/khursmiAzWY9Nhwculjg90YjPnIjXBmCgvgzyt02xd+kn+91JeUMBA=="}]}'
)

# version 2, of a new epoch
SECOND_ROOT = (
    b'{"payload":"eyJlcG9jaCI6MSwiZmxlZXQiOiJkZW1vIiwia2V5cyI6eyIzNDc1MGY5OCI6IjhhODhlM2RkNzQw'
    b"OWYxOTVmZDUyZGIyZDNjYmE1ZDcyY2E2NzA5YmYxZDk0MTIxYmYzNzQ4ODAxYjQwZjZmNWMiLCI2YTM4MDNkNSI6"
    b"IjgxMzk3NzBlYTg3ZDE3NWY1NmEzNTQ2NmMzNGM3ZWNjY2I4ZDhhOTFiNGVlMzdhMjVkZjYwZjViOGZjOWIzOTQi"
    b"LCI3NTk5Nzc2YyI6IjZlN2ExY2RkMjliMGI3OGZkMTNhZjRjNTU5OGZlZmY0ZWYyYTk3MTY2ZTNjYTZmMmU0ZmJm"
    b"Y2NkODA1MDViZjEiLCJiNjJlODY3ZiI6ImVkNDkyOGM2MjhkMWMyYzZlYWU5MDMzODkwNTk5NTYxMjk1OTI3M2E1"
    b"YzYzZjkzNjM2YzE0NjE0YWM4NzM3ZDEiLCJjNWI5NDBlZCI6ImNhOTNhYzE3MDUxODcwNzFkNjdiODNjN2ZmMGVm"
    b"ZTgxMDhlOGVjNDUzMDU3NWQ3NzI2ODc5MzMzZGJkYWJlN2MifSwibWluaW11bSI6e30sInJvbGVzIjp7Im9yZGVy"
    b"Ijp7ImtleWlkcyI6WyI3NTk5Nzc2YyJdLCJ0aHJlc2hvbGQiOjF9LCJyZWxlYXNlIjp7ImtleWlkcyI6WyJjNWI5"
    b"NDBlZCJdLCJ0aHJlc2hvbGQiOjF9LCJyb290Ijp7ImtleWlkcyI6WyIzNDc1MGY5OCIsIjZhMzgwM2Q1IiwiYjYy"
    b'ZTg2N2YiXSwidGhyZXNob2xkIjoyfX0sInYiOjEsInZlcnNpb24iOjJ9","payloadType":"application/vnd'
    b'.modelwave.root+json","signatures":[{"keyid":"6a3803d5","sig":"5qb+ydBsBisMOOSUHj4H1/hY7'
    b'A2sOmSTEmr+q/Ig9eaHfDtKm+SXVH7gxl7In+Pt8PUTcD2Co9qpZ6Rwrk0dAQ=="},{"keyid":"b62e867f","s'
    b'ig":"zB6BO2WHOG73kMuNjJK4Se0NvsYoLhwBK01z5dqcF4PfGYmNBYdw6cVHg6f73LG1jAgzEtFSNF+WtYAfO4i'
    b'jAg=="}]}'
)

# by one root key
SECOND_ROOT_BY_ONE = (
    b'{"payload":"eyJlcG9jaCI6MSwiZmxlZXQiOiJkZW1vIiwia2V5cyI6eyIzNDc1MGY5OCI6IjhhODhlM2RkNzQw'
    b"OWYxOTVmZDUyZGIyZDNjYmE1ZDcyY2E2NzA5YmYxZDk0MTIxYmYzNzQ4ODAxYjQwZjZmNWMiLCI2YTM4MDNkNSI6"
    b"IjgxMzk3NzBlYTg3ZDE3NWY1NmEzNTQ2NmMzNGM3ZWNjY2I4ZDhhOTFiNGVlMzdhMjVkZjYwZjViOGZjOWIzOTQi"
    b"LCI3NTk5Nzc2YyI6IjZlN2ExY2RkMjliMGI3OGZkMTNhZjRjNTU5OGZlZmY0ZWYyYTk3MTY2ZTNjYTZmMmU0ZmJm"
    b"Y2NkODA1MDViZjEiLCJiNjJlODY3ZiI6ImVkNDkyOGM2MjhkMWMyYzZlYWU5MDMzODkwNTk5NTYxMjk1OTI3M2E1"
    b"YzYzZjkzNjM2YzE0NjE0YWM4NzM3ZDEiLCJjNWI5NDBlZCI6ImNhOTNhYzE3MDUxODcwNzFkNjdiODNjN2ZmMGVm"
    b"ZTgxMDhlOGVjNDUzMDU3NWQ3NzI2ODc5MzMzZGJkYWJlN2MifSwibWluaW11bSI6e30sInJvbGVzIjp7Im9yZGVy"
    b"Ijp7ImtleWlkcyI6WyI3NTk5Nzc2YyJdLCJ0aHJlc2hvbGQiOjF9LCJyZWxlYXNlIjp7ImtleWlkcyI6WyJjNWI5"
    b"NDBlZCJdLCJ0aHJlc2hvbGQiOjF9LCJyb290Ijp7ImtleWlkcyI6WyIzNDc1MGY5OCIsIjZhMzgwM2Q1IiwiYjYy"
    b'ZTg2N2YiXSwidGhyZXNob2xkIjoyfX0sInYiOjEsInZlcnNpb24iOjJ9","payloadType":"application/vnd'
    b'.modelwave.root+json","signatures":[{"keyid":"34750f98","sig":"nUnPA0/pweZSVFbgX8Wn5RVBm'
    b'AglcHPlGLKCJJjw2DzIRAO2JDR/Gc6uxgd8EFYxRh4GWEjXLSpt/1f2FeyEBw=="}]}'
)

# version 3
THIRD_ROOT = (
    b'{"payload":"eyJlcG9jaCI6MSwiZmxlZXQiOiJkZW1vIiwia2V5cyI6eyIzNDc1MGY5OCI6IjhhODhlM2RkNzQw'
    b"OWYxOTVmZDUyZGIyZDNjYmE1ZDcyY2E2NzA5YmYxZDk0MTIxYmYzNzQ4ODAxYjQwZjZmNWMiLCI2YTM4MDNkNSI6"
    b"IjgxMzk3NzBlYTg3ZDE3NWY1NmEzNTQ2NmMzNGM3ZWNjY2I4ZDhhOTFiNGVlMzdhMjVkZjYwZjViOGZjOWIzOTQi"
    b"LCI3NTk5Nzc2YyI6IjZlN2ExY2RkMjliMGI3OGZkMTNhZjRjNTU5OGZlZmY0ZWYyYTk3MTY2ZTNjYTZmMmU0ZmJm"
    b"Y2NkODA1MDViZjEiLCJiNjJlODY3ZiI6ImVkNDkyOGM2MjhkMWMyYzZlYWU5MDMzODkwNTk5NTYxMjk1OTI3M2E1"
    b"YzYzZjkzNjM2YzE0NjE0YWM4NzM3ZDEiLCJjNWI5NDBlZCI6ImNhOTNhYzE3MDUxODcwNzFkNjdiODNjN2ZmMGVm"
    b"ZTgxMDhlOGVjNDUzMDU3NWQ3NzI2ODc5MzMzZGJkYWJlN2MifSwibWluaW11bSI6e30sInJvbGVzIjp7Im9yZGVy"
    b"Ijp7ImtleWlkcyI6WyI3NTk5Nzc2YyJdLCJ0aHJlc2hvbGQiOjF9LCJyZWxlYXNlIjp7ImtleWlkcyI6WyJjNWI5"
    b"NDBlZCJdLCJ0aHJlc2hvbGQiOjF9LCJyb290Ijp7ImtleWlkcyI6WyIzNDc1MGY5OCIsIjZhMzgwM2Q1IiwiYjYy"
    b'ZTg2N2YiXSwidGhyZXNob2xkIjoyfX0sInYiOjEsInZlcnNpb24iOjN9","payloadType":"application/vnd'
    b'.modelwave.root+json","signatures":[{"keyid":"34750f98","sig":"y2c4z1r+G166zA2LtOKDboLm4'
    b'd7kBNyo7F2pTZEIbO46orrBbCKUqYowbGPj559n7Wd0YRdy66d8lkBpA+OxDw=="},{"keyid":"6a3803d5","s'
    b'ig":"iq70IWIDQPLtk2TFnOvSaOWWDVGYjUpeyfvP+ILk0HUucBoNhXPb/kPZvb8oYrNerZqBumURT2G19EeFYRd'
    b'rCw=="}]}'
)

# by the release key
MANIFEST = (
    b'{"payload":"eyJkZWx0YXMiOltdLCJmaWxlcyI6W3sicm9sZSI6Im1vZGVsIiwic2hhMjU2IjoiOTdmZjhhMzU1'
    b"NDRkY2Y0MGFkODQwNDcwNzQ0MzlkZDZhYTNhMGJlNDY5ZWE1NzhhMWIxYzAxN2Q5MzllYzYxYyIsInNpemUiOjd9"
    b"LHsicm9sZSI6ImdvbGRlbiIsInNoYTI1NiI6ImE1NzlmNDRiNGM4YmY1NzkxY2VkNTY1NTg0ODcxNmVlYzI3MWMz"
    b"YTEwYWY1NDkyOGRlZjBiZWE2ZjViMDJkYzAiLCJzaXplIjoyM31dLCJmbGVldCI6ImRlbW8iLCJmb3JjZWQiOiIi"
    b"LCJmb3JtYXQiOiJ0ZmxpdGUiLCJsaW5lYWdlIjp7ImRhdGFzZXQiOiJub25lIiwibWV0cmljcyI6e30sInF1YW50"
    b"aXNhdGlvbiI6ImludDgifSwibW9kZWwiOiJkaWdpdHMiLCJuZWVkcyI6eyJhY2NlbGVyYXRvciI6IiIsImZsYXNo"
    b"IjozMCwia2VybmVscyI6W10sInJhbSI6MTAwMCwicnVudGltZSI6InRmbGl0ZSJ9LCJyZWxlYXNlIjozLCJ0YXJn"
    b"ZXQiOiJsaW51eC1jcHUiLCJ0b2xlcmFuY2UiOnsia2luZCI6Im91dHB1dHMiLCJzdGVwcyI6eyJhbnkiOjB9fSwi"
    b'dmVyc2lvbiI6InYzIn0=","payloadType":"application/vnd.modelwave.manifest+json","signature'
    b's":[{"keyid":"c5b940ed","sig":"vWyHN4luW3mm13mYNbV6lSTilf0z5qWX5dNkjmWRelR4FWov8S6czVSt3'
    b'fiJsJv5HUehxwILQTyKK0gF0GD5Cg=="}]}'
)

# by the online key
MANIFEST_BY_ORDER_KEY = (
    b'{"payload":"eyJkZWx0YXMiOltdLCJmaWxlcyI6W3sicm9sZSI6Im1vZGVsIiwic2hhMjU2IjoiOTdmZjhhMzU1'
    b"NDRkY2Y0MGFkODQwNDcwNzQ0MzlkZDZhYTNhMGJlNDY5ZWE1NzhhMWIxYzAxN2Q5MzllYzYxYyIsInNpemUiOjd9"
    b"LHsicm9sZSI6ImdvbGRlbiIsInNoYTI1NiI6ImE1NzlmNDRiNGM4YmY1NzkxY2VkNTY1NTg0ODcxNmVlYzI3MWMz"
    b"YTEwYWY1NDkyOGRlZjBiZWE2ZjViMDJkYzAiLCJzaXplIjoyM31dLCJmbGVldCI6ImRlbW8iLCJmb3JjZWQiOiIi"
    b"LCJmb3JtYXQiOiJ0ZmxpdGUiLCJsaW5lYWdlIjp7ImRhdGFzZXQiOiJub25lIiwibWV0cmljcyI6e30sInF1YW50"
    b"aXNhdGlvbiI6ImludDgifSwibW9kZWwiOiJkaWdpdHMiLCJuZWVkcyI6eyJhY2NlbGVyYXRvciI6IiIsImZsYXNo"
    b"IjozMCwia2VybmVscyI6W10sInJhbSI6MTAwMCwicnVudGltZSI6InRmbGl0ZSJ9LCJyZWxlYXNlIjozLCJ0YXJn"
    b"ZXQiOiJsaW51eC1jcHUiLCJ0b2xlcmFuY2UiOnsia2luZCI6Im91dHB1dHMiLCJzdGVwcyI6eyJhbnkiOjB9fSwi"
    b'dmVyc2lvbiI6InYzIn0=","payloadType":"application/vnd.modelwave.manifest+json","signature'
    b's":[{"keyid":"7599776c","sig":"6uyloXzv5r65wVGPYV15j4dkibSlkEdlbR6jxzLjHa4HeD+zkXjEzWKNq'
    b'1lvOtnJFeXpP5q7cD8tEdrsEqZ4Cw=="}]}'
)

# of that manifest, by the online key
ORDER = (
    b'{"payload":"eyJlcG9jaCI6MCwiZXhwaXJlcyI6MTgwMDA4NjQwMCwiZmxlZXQiOiJkZW1vIiwiaXNzdWVkIjox'
    b"ODAwMDAwMDAwLCJtYW5pZmVzdCI6IjkwNWM3YTQ1NDQ3ZGYxNjNlZGUxZmMzZWI3ZTY2MTZhNWZmOTlhMjM5YTU2"
    b"ZGQyOWI5ZWIyYTM0ZTVlYzg5ODEiLCJtb2RlbCI6ImRpZ2l0cyIsInNlcSI6Nywic2hhZG93IjpmYWxzZSwic2xv"
    b"dHMiOltbMCw5OTldXSwidGFyZ2V0IjoibGludXgtY3B1IiwidHJpYWwiOnsiaW5mZXJlbmNlcyI6MCwic2Vjb25k"
    b'cyI6MTB9LCJ1cmxzIjpbImh0dHA6Ly9maWxlcy50ZXN0Il19","payloadType":"application/vnd.modelwa'
    b've.order+json","signatures":[{"keyid":"7599776c","sig":"uTrURztXCMXl5QlCmsZCu9prrqyMbzOl'
    b'XzsCPZ9dBrINU7uT0dF3aL1WKqGlenODWunjKKyt6SZeMZLKxv88Cg=="}]}'
)

# by a key of another fleet
ORDER_BY_STRANGER = (
    b'{"payload":"eyJlcG9jaCI6MCwiZXhwaXJlcyI6MTgwMDA4NjQwMCwiZmxlZXQiOiJkZW1vIiwiaXNzdWVkIjox'
    b"ODAwMDAwMDAwLCJtYW5pZmVzdCI6IjkwNWM3YTQ1NDQ3ZGYxNjNlZGUxZmMzZWI3ZTY2MTZhNWZmOTlhMjM5YTU2"
    b"ZGQyOWI5ZWIyYTM0ZTVlYzg5ODEiLCJtb2RlbCI6ImRpZ2l0cyIsInNlcSI6Nywic2hhZG93IjpmYWxzZSwic2xv"
    b"dHMiOltbMCw5OTldXSwidGFyZ2V0IjoibGludXgtY3B1IiwidHJpYWwiOnsiaW5mZXJlbmNlcyI6MCwic2Vjb25k"
    b'cyI6MTB9LCJ1cmxzIjpbImh0dHA6Ly9maWxlcy50ZXN0Il19","payloadType":"application/vnd.modelwa'
    b've.order+json","signatures":[{"keyid":"dbc29825","sig":"oyKVSaRxhCdK1panjxMzY56X9A/7uwqt'
    b'2IJ+KRzk0rYWqVYfNiK2ot9qUVymr6MX48teEI/+6vtauAZQa/btBA=="}]}'
)

# well signed
ORDER_UNKNOWN_FIELD = (
    b'{"payload":"eyJjb25kaXRpb24iOiJvbmx5IGF0IG5pZ2h0IiwiZXBvY2giOjAsImV4cGlyZXMiOjE4MDAwODY0'
    b"MDAsImZsZWV0IjoiZGVtbyIsImlzc3VlZCI6MTgwMDAwMDAwMCwibWFuaWZlc3QiOiI5MDVjN2E0NTQ0N2RmMTYz"
    b"ZWRlMWZjM2ViN2U2NjE2YTVmZjk5YTIzOWE1NmRkMjliOWViMmEzNGU1ZWM4OTgxIiwibW9kZWwiOiJkaWdpdHMi"
    b"LCJzZXEiOjcsInNoYWRvdyI6ZmFsc2UsInNsb3RzIjpbWzAsOTk5XV0sInRhcmdldCI6ImxpbnV4LWNwdSIsInRy"
    b"aWFsIjp7ImluZmVyZW5jZXMiOjAsInNlY29uZHMiOjEwfSwidXJscyI6WyJodHRwOi8vZmlsZXMudGVzdCJdfQ=="
    b'","payloadType":"application/vnd.modelwave.order+json","signatures":[{"keyid":"7599776c"'
    b',"sig":"EGoNUgU4sbpPLZFnL+Q83cMKNwOXF+rR/1xxNwZi4EJwLFNOaMhEy6tSVlXXZTzSVnfjkr/bJJHuzx5U'
    b'UmrLCQ=="}]}'
)

# as a newer controller may
ORDER_WITH_EXTRA = (
    b'{"payload":"eyJlcG9jaCI6MCwiZXhwaXJlcyI6MTgwMDA4NjQwMCwiZXh0cmEiOnsic2l0ZSI6Im5vcnRoIn0s'
    b"ImZsZWV0IjoiZGVtbyIsImlzc3VlZCI6MTgwMDAwMDAwMCwibWFuaWZlc3QiOiI5MDVjN2E0NTQ0N2RmMTYzZWRl"
    b"MWZjM2ViN2U2NjE2YTVmZjk5YTIzOWE1NmRkMjliOWViMmEzNGU1ZWM4OTgxIiwibW9kZWwiOiJkaWdpdHMiLCJz"
    b"ZXEiOjcsInNoYWRvdyI6ZmFsc2UsInNsb3RzIjpbWzAsOTk5XV0sInRhcmdldCI6ImxpbnV4LWNwdSIsInRyaWFs"
    b'Ijp7ImluZmVyZW5jZXMiOjAsInNlY29uZHMiOjEwfSwidXJscyI6WyJodHRwOi8vZmlsZXMudGVzdCJdfQ==","p'
    b'ayloadType":"application/vnd.modelwave.order+json","signatures":[{"keyid":"7599776c","si'
    b'g":"UUwmFHBFLMkITd+nWWMa1b0ORerD+MEYnHBRgT28xXf/VyWWFmllv+5Gp8xLlU/RpxM07z4JIvf6a501Bv5a'
    b'AA=="}]}'
)

# of a newer controller
ORDER_NEXT_FORMAT = (
    b'{"payload":"eyJjb25kaXRpb24iOiJvbmx5IGF0IG5pZ2h0IiwiZXBvY2giOjAsImV4cGlyZXMiOjE4MDAwODY0'
    b"MDAsImZsZWV0IjoiZGVtbyIsImlzc3VlZCI6MTgwMDAwMDAwMCwibWFuaWZlc3QiOiI5MDVjN2E0NTQ0N2RmMTYz"
    b"ZWRlMWZjM2ViN2U2NjE2YTVmZjk5YTIzOWE1NmRkMjliOWViMmEzNGU1ZWM4OTgxIiwibW9kZWwiOiJkaWdpdHMi"
    b"LCJzZXEiOjcsInNoYWRvdyI6ZmFsc2UsInNsb3RzIjpbWzAsOTk5XV0sInRhcmdldCI6ImxpbnV4LWNwdSIsInRy"
    b"aWFsIjp7ImluZmVyZW5jZXMiOjAsInNlY29uZHMiOjEwfSwidXJscyI6WyJodHRwOi8vZmlsZXMudGVzdCJdLCJ2"
    b'IjozfQ==","payloadType":"application/vnd.modelwave.order+json","signatures":[{"keyid":"7'
    b'599776c","sig":"Uw5q1M7Uz8xPw4zj6n007oFDdqKdhulNc7nXXyXm9gevNzVoizyzOd6hlDEowjwyXUo3T+NT'
    b'tvwNZtQQvnnxDA=="}]}'
)

# for pi-1, by the online key
HEARTBEAT = (
    b'{"payload":"eyJkZXZpY2UiOiJwaS0xIiwiZXBvY2giOjAsImZsZWV0IjoiZGVtbyIsIm1vZGVscyI6eyJkaWdp'
    b'dHMiOjd9LCJub25jZSI6IjAxMjM0NTY3ODlhYmNkZWYiLCJyb290IjoxLCJ0aW1lIjoxODAwMDAwMDYwfQ==","p'
    b'ayloadType":"application/vnd.modelwave.heartbeat+json","signatures":[{"keyid":"7599776c"'
    b',"sig":"SMrmw+RSHWwmwm/s3YOnDZY4VHhcM6SNHUvtYeuJtNkjUSOaJr19ooKPuwHSyEWOK+Rt5UzVIsYjiyrg'
    b'eSX5AA=="}]}'
)

# by a thief
HEARTBEAT_BY_STRANGER = (
    b'{"payload":"eyJkZXZpY2UiOiJwaS0xIiwiZXBvY2giOjAsImZsZWV0IjoiZGVtbyIsIm1vZGVscyI6eyJkaWdp'
    b'dHMiOjd9LCJub25jZSI6IjAxMjM0NTY3ODlhYmNkZWYiLCJyb290IjoxLCJ0aW1lIjoxODAwMDAwMDYwfQ==","p'
    b'ayloadType":"application/vnd.modelwave.heartbeat+json","signatures":[{"keyid":"dbc29825"'
    b',"sig":"f8XI4EiG8EPj5YAfcbmS2LoX684b2DFUyJk9BMv7xFxXm3tBr6dj0OcXVe4zQW5NfHhBKlZOJSYeXQvk'
    b'81Y0Aw=="}]}'
)

# for pi-2
HEARTBEAT_OF_ANOTHER = (
    b'{"payload":"eyJkZXZpY2UiOiJwaS0yIiwiZXBvY2giOjAsImZsZWV0IjoiZGVtbyIsIm1vZGVscyI6eyJkaWdp'
    b'dHMiOjd9LCJub25jZSI6IjAxMjM0NTY3ODlhYmNkZWYiLCJyb290IjoxLCJ0aW1lIjoxODAwMDAwMDYwfQ==","p'
    b'ayloadType":"application/vnd.modelwave.heartbeat+json","signatures":[{"keyid":"7599776c"'
    b',"sig":"YFfR3qL5Hf/r/handIBSS9COZSFyGNHTpsHXcZh1VWSMY/2qO7Z3itmxdv9pL9txZIZE6HMzxxpDYlHC'
    b'JfjMAg=="}]}'
)

# of no root
HEARTBEAT_NEXT_EPOCH = (
    b'{"payload":"eyJkZXZpY2UiOiJwaS0xIiwiZXBvY2giOjEsImZsZWV0IjoiZGVtbyIsIm1vZGVscyI6eyJkaWdp'
    b'dHMiOjd9LCJub25jZSI6IjAxMjM0NTY3ODlhYmNkZWYiLCJyb290IjoxLCJ0aW1lIjoxODAwMDAwMDYwfQ==","p'
    b'ayloadType":"application/vnd.modelwave.heartbeat+json","signatures":[{"keyid":"7599776c"'
    b',"sig":"Bpy2fxXhbjjipUjmgQZ60Oe64e+ic8vPE14i+AbPUzWWzzm9jHT8li5gnmWyISbZihCp/IFte9AhYs60'
    b'7IfHBQ=="}]}'
)

# of root 2
HEARTBEAT_NEXT_ROOT = (
    b'{"payload":"eyJkZXZpY2UiOiJwaS0xIiwiZXBvY2giOjEsImZsZWV0IjoiZGVtbyIsIm1vZGVscyI6eyJkaWdp'
    b'dHMiOjd9LCJub25jZSI6IjAxMjM0NTY3ODlhYmNkZWYiLCJyb290IjoyLCJ0aW1lIjoxODAwMDAwMDYwfQ==","p'
    b'ayloadType":"application/vnd.modelwave.heartbeat+json","signatures":[{"keyid":"7599776c"'
    b',"sig":"vBVWqy7TQABiATM1YUIeWkccEQUWt5hj0zVAgZd224teBno6iS1el+qQoSlLJ5Sv++Bw2xspaxjOVcaB'
    b'7BYFAg=="}]}'
)

# 11 years ahead
HEARTBEAT_AHEAD = (
    b'{"payload":"eyJkZXZpY2UiOiJwaS0xIiwiZXBvY2giOjAsImZsZWV0IjoiZGVtbyIsIm1vZGVscyI6eyJkaWdp'
    b'dHMiOjd9LCJub25jZSI6IjAxMjM0NTY3ODlhYmNkZWYiLCJyb290IjoxLCJ0aW1lIjoyMTQ2ODk2MDAwfQ==","p'
    b'ayloadType":"application/vnd.modelwave.heartbeat+json","signatures":[{"keyid":"7599776c"'
    b',"sig":"sLWzYo/nIeFChwxmo51kgVzpfRsdlFWVUSS9p6vc2+KWOFPJfXrd2v0cOL6+ITkwMZbZ1RSbyll5T4gA'
    b'QA/zCA=="}]}'
)

# an order without fields, by the online key
TINY = (
    b'{"payload":"e30=","payloadType":"application/vnd.modelwave.order+json","signatures":[{"k'
    b'eyid":"7599776c","sig":"cCNjKjbnAwZr+S3EOQ7+LhH+adC8Q6CtJrUKwRcdLu6EoD/CmJBTK7EW4LRq17Ry'
    b'dofCzfqQ8naw96OWM2EwCg=="}]}'
)

# public keys, raw
ORDER_KEY = bytes.fromhex("6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1")
STRANGER_KEY = bytes.fromhex("fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618")
