//! The services as a client meets them: every test listens on a port of its own.

mod addresses;
mod attacks;
mod disguises;
mod hooks;
mod http;
mod identity;
mod migrants;
mod sqlite;
