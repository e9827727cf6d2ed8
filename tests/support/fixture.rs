//! The backends that owe what `trait Store` says, each as a way to open it. Knows no story.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tidewire::config::StoreConfig;
use tidewire::schema::Schema;

use super::studio::Studio;

/// One backend. The clock of a store that was opened is at noon, and its log is empty.
pub(crate) trait Fixture {
    /// The model leaves the read scope of a list to the product, whose own form it is.
    const NAMES_READ_SCOPES: bool = true;

    fn open(schema: Schema, config: &StoreConfig) -> Studio;

    /// The store stops and starts again over what it left behind; `None` if it leaves nothing.
    fn reopen(studio: Studio, schema: Schema, config: &StoreConfig) -> BoxFuture<'_, Option<Studio>>;
}

pub(crate) struct SqliteFixture;

pub(crate) struct MemoryFixture;

/// The product's units over the tests' own transaction. It runs the stories about what a unit does.
pub(crate) struct OverlayFixture;

impl Fixture for SqliteFixture {
    fn open(schema: Schema, config: &StoreConfig) -> Studio {
        Studio::sqlite_over(schema, config)
    }

    fn reopen(studio: Studio, schema: Schema, config: &StoreConfig) -> BoxFuture<'_, Option<Studio>> {
        async move { Some(studio.restarted(schema, config).await) }.boxed()
    }
}

impl Fixture for MemoryFixture {
    const NAMES_READ_SCOPES: bool = false;

    fn open(schema: Schema, config: &StoreConfig) -> Studio {
        Studio::memory_over(schema, config)
    }

    fn reopen(_: Studio, _: Schema, _: &StoreConfig) -> BoxFuture<'_, Option<Studio>> {
        async { None }.boxed()
    }
}

impl Fixture for OverlayFixture {
    fn open(schema: Schema, config: &StoreConfig) -> Studio {
        Studio::overlay_over(schema, config)
    }

    fn reopen(_: Studio, _: Schema, _: &StoreConfig) -> BoxFuture<'_, Option<Studio>> {
        async { None }.boxed()
    }
}
