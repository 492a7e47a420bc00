"""The page: what people see in a browser of the calls that they may ask."""
