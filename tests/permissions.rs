//! docs/permissions.md: every recipe is taken from the page itself and driven over HTTP and a socket; and `tidewire rules`.

mod cases;
pub(crate) mod page;
mod recipes;
mod shipped;
mod why;
