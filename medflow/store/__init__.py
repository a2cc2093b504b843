"""Rows: the truth about what was taken in, learned and said, in SQL. SQLAlchemy lives here and nowhere else."""
