"""What a device is enrolled with: its secrets and files, the broker's users, the authority."""
