//! `data` and `database` are two words for one thing: the later of the two says where the database is.
//!
//! Looked at when every single value is good.

use super::loading::{Loading, Origin};
use crate::cli::faults::{FaultSite, LocatedFault};
use crate::config::Config;
use crate::store::choice::DatabaseAddress;

const DATA: &str = "data";
const DATABASE: &str = "database";

pub(super) fn settle(loading: &mut Loading) {
    let Some((data, _)) = loading.origins.get(DATA).cloned() else { return };
    let Some((database, place)) = loading.origins.get(DATABASE).cloned() else {
        // `database` is shown with what made it so.
        loading.origins.insert(DATABASE, (data, FaultSite::Outside));
        return;
    };
    if rank(&data) > rank(&database) {
        loading.config.database = None;
        loading.origins.insert(DATABASE, (data, FaultSite::Outside));
    } else if rank(&data) == rank(&database) && !is_same(&loading.config) {
        let message = format!("`data` ({data}) and `database` ({database}) both say where the database is");
        let help = format!(
            "keep one of the two: `data = \"DIR\"` is short for `database = \"{}\"`",
            DatabaseAddress::within("DIR".as_ref())
        );
        loading
            .faults
            .add(LocatedFault::new(place, message, help).label("another place than that of `data`"));
    }
}

/// Later ones win: flags over variables over the file.
fn rank(origin: &Origin) -> u8 {
    match origin {
        Origin::Default => 0,
        Origin::File { .. } => 1,
        Origin::Variable(_) => 2,
        Origin::Flag(_) => 3,
    }
}

fn is_same(config: &Config) -> bool {
    config.database.as_ref() == Some(&DatabaseAddress::within(&config.data).to_string())
}
