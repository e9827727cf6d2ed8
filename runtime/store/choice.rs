//! The one place that reads which database the settings mean, and makes its backend.
//!
//! What it refuses it never repeats beyond the scheme: the rest may hold a password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sqlite::{DatabaseFile, SqliteBackend};
use super::{Backend, OpenError};
use crate::config::Config;

const FORM: &str = "write sqlite:PATH, such as sqlite:data/tidewire.db";

/// Where a database is: what `database` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseAddress {
    /// `sqlite:data/tidewire.db`
    Sqlite(PathBuf),
}

/// Why a text is no address of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAddress {
    pub found: String,
    pub help: String,
}

/// Of the database that the settings mean.
pub fn backend(config: &Config) -> Result<Arc<dyn Backend>, OpenError> {
    let file = match &config.database {
        None => DatabaseFile::within(&config.data),
        Some(text) => {
            let DatabaseAddress::Sqlite(path) = text.parse().map_err(|NoAddress { found, help }| {
                OpenError::Unusable(format!("`database` is {found}: {help}"))
            })?;
            DatabaseFile::at(path)?
        }
    };
    Ok(Arc::new(SqliteBackend::new(file, config.store.clone())))
}

impl DatabaseAddress {
    /// The database of a data folder.
    pub fn within(data: &Path) -> DatabaseAddress {
        DatabaseAddress::Sqlite(DatabaseFile::within(data).to_path_buf())
    }

    /// A relative path belongs to this folder.
    pub fn below(self, folder: &Path) -> DatabaseAddress {
        let DatabaseAddress::Sqlite(path) = self;
        DatabaseAddress::Sqlite(folder.join(path))
    }
}

impl fmt::Display for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DatabaseAddress::Sqlite(path) = self;
        write!(f, "sqlite:{}", path.display())
    }
}

impl std::str::FromStr for DatabaseAddress {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<DatabaseAddress, NoAddress> {
        let no = |found: &str, help: &str| Err(NoAddress { found: found.to_owned(), help: help.to_owned() });
        let Some((scheme, path)) = text.split_once(':') else {
            return no(
                "a text without a scheme",
                "write sqlite: before the path, as in sqlite:data/tidewire.db",
            );
        };
        if scheme != "sqlite" {
            let word = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            let found = if word && !scheme.is_empty() && !path.starts_with("//") && path.contains('@') {
                // `ada:secret@host`: what comes before the colon is no scheme, but a name.
                "an address without a scheme".to_owned()
            } else if word && (1..=20).contains(&scheme.len()) {
                format!("an address of the scheme `{scheme}`")
            } else {
                "an address of another scheme".to_owned()
            };
            return Err(NoAddress { found, help: format!("SQLite is the only database so far: {FORM}") });
        }
        match path {
            "" => no("`sqlite:` without a path", FORM),
            ":memory:" => no("a database in memory", &format!("nothing in it would be kept: {FORM}")),
            _ if path.starts_with("//") => no(
                "`sqlite:` with `//` behind it",
                "write sqlite:data/tidewire.db for a path from here, sqlite:/srv/tidewire.db for one from the root",
            ),
            _ if path.contains(['?', '#']) => no(
                "a path with `?` or `#` in it",
                "Tidewire opens the database with options of its own: name the file alone",
            ),
            _ if path.contains('\0') => no("a path with a zero byte in it", FORM),
            _ if path.ends_with('/') || Path::new(path).file_name().is_none() => {
                no("a folder where a file belongs", "name a file in it, as in sqlite:data/tidewire.db")
            }
            _ => Ok(DatabaseAddress::Sqlite(PathBuf::from(path))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written_alike() {
        for text in
            ["sqlite:tidewire.db", "sqlite:./a b/ä.sqlite", "sqlite:/srv/x", "sqlite:../up.db", "sqlite:a@b"]
        {
            assert_eq!(
                text.parse::<DatabaseAddress>().map(|address| address.to_string()),
                Ok(text.to_owned())
            );
        }
        let below = |text: &str| text.parse::<DatabaseAddress>().unwrap().below(Path::new("etc")).to_string();
        assert_eq!(below("sqlite:a.db"), "sqlite:etc/a.db");
        assert_eq!(below("sqlite:/srv/a.db"), "sqlite:/srv/a.db");
        assert_eq!(DatabaseAddress::within(Path::new("data")).to_string(), "sqlite:data/tidewire.db");
    }

    #[test]
    fn what_is_no_address_is_told_with_what_to_write_and_without_a_password() {
        let table = [
            ("postgres://ada:hunter2@db.example/tide", "the scheme `postgres`", "the only database so far"),
            ("mysql:tide", "the scheme `mysql`", "sqlite:PATH"),
            ("SQLite:data/tidewire.db", "the scheme `SQLite`", "sqlite:PATH"),
            ("file:data/tidewire.db", "the scheme `file`", "sqlite:PATH"),
            ("ada:hunter2@db.example", "without a scheme", "sqlite:PATH"),
            ("hunter2 hunter2:x", "another scheme", "sqlite:PATH"),
            ("://ada:hunter2@db", "another scheme", "sqlite:PATH"),
            ("data/tidewire.db", "without a scheme", "sqlite: before the path"),
            ("sqlite", "without a scheme", "sqlite: before the path"),
            ("sqlite:", "without a path", "sqlite:PATH"),
            ("sqlite:data/", "a folder where a file belongs", "sqlite:data/tidewire.db"),
            ("sqlite:..", "a folder where a file belongs", "sqlite:data/tidewire.db"),
            ("sqlite:/", "a folder where a file belongs", "sqlite:data/tidewire.db"),
            ("sqlite::memory:", "in memory", "nothing in it would be kept"),
            ("sqlite://ada:hunter2@db/tide.db", "`//`", "from the root"),
            ("sqlite:tide.db?key=hunter2", "`?`", "the file alone"),
            ("sqlite:tide\0.db", "zero byte", "sqlite:PATH"),
        ];
        for (text, found, help) in table {
            let error = text.parse::<DatabaseAddress>().unwrap_err();
            assert!(error.found.contains(found) && error.help.contains(help), "{text:?}: {error:?}");
            assert!(!format!("{error:?}").contains("hunter2"), "{text:?}: {error:?}");
        }
    }
}
