//! The one test binary: each module tells stories about one boundary.
#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod support;

mod floor_plan;
mod guard;
mod health;
mod outbox;
mod protocol_document;
mod repository;
mod rest;
mod session;
