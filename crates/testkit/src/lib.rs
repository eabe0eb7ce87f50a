//! Scripted servers and guards for the tests.
