"""The database: SQL is here and nowhere else."""
