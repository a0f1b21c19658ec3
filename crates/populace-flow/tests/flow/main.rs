//! The services as a client meets them: every test listens on a port of its own.

mod attacks;
mod http;
mod identity;
mod sqlite;
