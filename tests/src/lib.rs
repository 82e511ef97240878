//! Scenarios over the whole host, named by what could go wrong.
