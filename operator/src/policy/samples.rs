//! Specs for tests.
