//! The architecture's invariants, held by reading the source: what a pure room must not name, and
//! who alone writes to the API server.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read its own source says so by panicking"
)]

use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir(path)
        .unwrap()
        .flat_map(|entry| files(&entry.unwrap().path()))
        .collect();
    found.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    found
}

/// The code of a file without comments, unit tests and white space.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect()
}

fn offences(paths: &[&str], forbidden: &[&str]) -> Vec<String> {
    let files = paths.iter().flat_map(|path| files(&source().join(path)));
    files
        .flat_map(|file| {
            let code = code(&file);
            forbidden
                .iter()
                .filter(|word| code.contains(&word.replace(' ', "")))
                .map(|word| format!("{}: {word}", file.display()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn pure_rooms_know_no_client_no_clock_no_environment() {
    let pure = [
        "access/binding.rs",
        "access/brake.rs",
        "access/proof.rs",
        "access/review.rs",
        "access/session.rs",
        "access/standing.rs",
        "access/status.rs",
        "access/sweep.rs",
        "access/why.rs",
        "isolation",
        "policy",
        "approval",
        "assess/attested.rs",
        "cluster/diff.rs",
        "record/attested.rs",
        "record/granted.rs",
        "record/held.rs",
        "record/history.rs",
        "record/personal.rs",
        "record/reviewed.rs",
        "record/swept.rs",
        "retention",
        "tenant/build.rs",
        "tenant/drift.rs",
        "tenant/names.rs",
        "tenant/plan.rs",
        "tenant/rendering.rs",
        "tenant/status.rs",
        "tenant/validate.rs",
        "../../controls/src",
        "../../crds/src",
        "../../rbac/src",
        "../../evidence/src/chain.rs",
        "../../evidence/src/digest.rs",
        "../../evidence/src/envelope.rs",
        "../../evidence/src/event.rs",
        "../../evidence/src/layout.rs",
        "../../evidence/src/segment.rs",
    ];
    let forbidden = [
        "kube::Api",
        "kube::Client",
        "kube::{Api",
        "Client::",
        "tokio::",
        "Timestamp::now",
        "SystemTime",
        "Instant::now",
        "std::env",
        "std::fs",
        "reqwest",
        "thread_rng",
    ];
    assert_eq!(offences(&pure, &forbidden), Vec::<String>::new());
}

#[test]
fn only_the_cluster_room_writes() {
    // `record/copy.rs` is the record's working copy, and writes records only.
    let rooms = [
        "access",
        "approval",
        "assess",
        "caches.rs",
        "context.rs",
        "guards",
        "isolation",
        "observe",
        "platform",
        "policy",
        "record/attested.rs",
        "record/given.rs",
        "record/held.rs",
        "record/history.rs",
        "record/mod.rs",
        "record/notes.rs",
        "record/open.rs",
        "record/personal.rs",
        "record/records.rs",
        "record/tasks.rs",
        "retention",
        "run.rs",
        "settings.rs",
        "support.rs",
        "tenant",
    ];
    let forbidden = [
        ".patch(",
        ".replace_status(",
        ".patch_status(",
        "delete_collection(",
        "PostParams",
        "PatchParams",
        "DeleteParams",
        ".create(&",
        "Recorder",
    ];
    assert_eq!(offences(&rooms, &forbidden), Vec::<String>::new());
}

#[test]
fn nothing_is_ever_owned() {
    let all = ["."];
    let forbidden = [
        "owner_references: Some",
        "controller_owner_ref",
        "owner_ref(",
    ];
    assert_eq!(offences(&all, &forbidden), Vec::<String>::new());
}

#[test]
fn every_deletion_carries_preconditions() {
    // Pods are deleted as a collection to cut connections; everything else, and a pod that is hurried, by uid and resourceVersion.
    let writer = code(&source().join("cluster/writer.rs"));
    assert_eq!(
        writer.matches("api.delete(").count(),
        1,
        "one place deletes a managed object"
    );
    assert!(writer.contains("preconditions:Some(Preconditions"));
}
