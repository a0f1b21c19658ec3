//! What must hold of the analysis commands.
