"""The two stores: what a time-series store can do, the relational store, and how both are opened and migrated."""
