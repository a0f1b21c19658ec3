//! The services as a client meets them: every test listens on a port of its own.

mod http;
mod identity;
mod sqlite;
