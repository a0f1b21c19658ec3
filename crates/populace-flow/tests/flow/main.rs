//! The services as a client meets them: every test listens on a port of its own.

mod addresses;
mod attacks;
mod disguises;
mod http;
mod identity;
mod sqlite;
