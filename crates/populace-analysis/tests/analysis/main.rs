//! What must hold of the analysis commands.

mod email;
mod source;
mod support;
