"""What the one SQL pays for reaching the relational store, beside asking that store alone."""
