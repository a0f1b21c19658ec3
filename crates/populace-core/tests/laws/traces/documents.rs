//! Every bad document is told what is wrong with it.
