//! The suites are beside this file, one folder each.
