//! SQLite: the embedded store. `rusqlite` and `r2d2` are used nowhere else.
