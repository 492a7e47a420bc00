"""Who may do what: roles, and the access tokens of people and programs."""
