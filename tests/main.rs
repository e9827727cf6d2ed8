//! All integration tests, in one binary: a second one would double the time of every rebuild.

mod schema_files;
