//! Tidewire: a generic entity-sync runtime. Schema files in; a database, a live CRUD API, channels over `/ws`, a small
//! JS client and pages out. ARCHITECTURE.md holds the map; modules are listed here from the lowest floor to the top.

pub mod config;
pub mod draft;
pub mod env;
pub mod ids;

pub mod schema;

pub mod rules;

pub mod protocol;
pub mod verdict;

pub mod metrics;

pub mod outbox;
pub mod store;

pub mod auth;
pub mod event_bus;
pub mod expiry;
pub mod refusals;

pub mod channels;
pub mod presence;
pub mod repository;

pub mod identity;

pub mod realtime;

pub mod http;

pub mod app;

pub mod cli;
