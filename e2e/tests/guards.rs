//! The guards, row by row of their contract: what each refuses, by which control, and the nearest legitimate request
//! that passes. Real requests of real identities to a real API server, with no operator running.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where by panicking"
)]

mod guards {
    mod ask;
    mod exposure;
    mod lifecycle;
    mod managed;
    mod namespaces;
    mod network;
    mod people;
    mod plane;
    mod platform;
    mod reviews;
    mod sessions;
    mod stolen;
    mod texts;
    mod workloads;
    mod world;
}
