//! Raw data into clean tables.
