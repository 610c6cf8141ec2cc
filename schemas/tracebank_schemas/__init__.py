"""What is stored: the tables of both stores, declared once, and the migrations of the relational one."""
