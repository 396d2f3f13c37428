//! What must be kept, and until when (DSA 2.13). Pure.

pub mod hold;
