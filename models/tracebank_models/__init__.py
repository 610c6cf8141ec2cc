"""What computes: readers, order books, simulators and models. No database and no Dagster is imported here."""
