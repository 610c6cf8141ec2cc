"""The explorer: pages and an API over every trace. Both read the relational store alone, and write users' notes;
only the SQL page and exports open the series store, in a process of their own."""
