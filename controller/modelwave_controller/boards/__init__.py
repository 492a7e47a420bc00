"""Makes the agent for boards from its sources: small `.mpy` files, and what installs them."""
