//! The demo, whole: every chapter on a plane of its own and on an existing cluster, and nothing left behind.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tenure_e2e::demo::{self, CHAPTERS, Chapter, Options};
use tenure_e2e::process::Signal;
use tenure_e2e::{Identity, Plane, eventually};
use tokio::sync::Mutex;

/// One demo at a time: what one leaves behind would look like the other's.
static TURN: Mutex<()> = Mutex::const_new(());

/// The result file, checked: every chapter, in order, and as `ok` says.
fn results(file: &Path) -> Vec<Chapter> {
    let chapters: Vec<Chapter> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let names: Vec<&str> = chapters
        .iter()
        .map(|chapter| chapter.chapter.as_str())
        .collect();
    assert_eq!(names, CHAPTERS);
    chapters
}

/// Processes and folders of this test process's demos.
fn leftovers() -> Vec<String> {
    let prefix = format!("planes/{}-", std::process::id());
    let belongs = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        text.contains(&prefix) && text.contains("-demo")
    };
    let processes = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
        .filter(|entry| {
            ["cmdline", "environ"]
                .iter()
                .any(|file| fs::read(entry.path().join(file)).is_ok_and(|text| belongs(&text)))
        })
        .map(|entry| entry.path().display().to_string());
    let folders = fs::read_dir(tenure_e2e::paths::target().join("planes"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path().display().to_string())
        .filter(|path| belongs(path.as_bytes()));
    processes.chain(folders).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_chapter_goes_well_and_nothing_is_left() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("demo.json");
    demo::run(Options {
        json: Some(json.clone()),
        ..Options::default()
    })
    .await
    .unwrap();
    for chapter in results(&json) {
        assert!(chapter.ok, "{chapter:?}");
    }
    let left = leftovers();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chapter_that_fails_is_reported_with_all_that_were_not_tried() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("demo.json");
    let error = demo::run(Options {
        kubeconfig: Some(folder.path().join("missing")),
        json: Some(json.clone()),
        ..Options::default()
    })
    .await
    .unwrap_err();
    assert!(format!("{error:#}").contains("control-plane"), "{error:#}");
    assert!(results(&json).iter().all(|chapter| !chapter.ok));
}

/// What a cluster holds, as far as the demo could have touched it.
async fn inventory(plane: &Plane) -> BTreeSet<String> {
    let kubectl = plane.kubectl(&Identity::admin()).unwrap();
    let kinds = "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings,\
        validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingadmissionpolicies,\
        mutatingadmissionpolicybindings,events,configmaps,serviceaccounts,secrets,deployments";
    let args = ["get", kinds, "--all-namespaces", "--output=name"];
    let listed = kubectl.run(&args).await.unwrap().success().unwrap();
    listed.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_cluster_is_left_as_it_was_found() {
    let _turn = TURN.lock().await;
    let plane = Plane::shared().await.unwrap();
    let before = settled(plane).await;
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("demo.json");
    demo::run(Options {
        kubeconfig: Some(plane.kubeconfig(&Identity::admin()).unwrap()),
        json: Some(json.clone()),
        ..Options::default()
    })
    .await
    .unwrap();
    for chapter in results(&json) {
        assert!(chapter.ok, "{chapter:?}");
    }
    // What was told to go may still be going.
    eventually(Duration::from_secs(30), "it is as it was", async || {
        let now = inventory(plane).await;
        let (more, less): (Vec<_>, Vec<_>) = (
            now.difference(&before).collect(),
            before.difference(&now).collect(),
        );
        anyhow::ensure!(
            more.is_empty() && less.is_empty(),
            "left: {more:?}; missing: {less:?}"
        );
        Ok(())
    })
    .await
    .unwrap();
}

/// The same once the cluster's own controllers have made what they make in a new one.
async fn settled(plane: &Plane) -> BTreeSet<String> {
    let mut last = BTreeSet::new();
    for _ in 0..60 {
        let now = inventory(plane).await;
        if now == last {
            break;
        }
        last = now;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_demo_runs_on_until_it_is_ended() {
    let _turn = TURN.lock().await;
    demo::run(Options {
        keep: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let left = leftovers();
    assert!(
        left.len() >= 6,
        "five processes that name its folder, and the folder, are kept: {left:?}"
    );
    let folder = left.iter().find(|path| path.contains("/planes/")).unwrap();
    let pids = fs::read_to_string(Path::new(folder).join("kept")).unwrap();
    // etcd, two API servers and whoever keeps their addresses, the controller manager, the operator.
    assert_eq!(pids.lines().count(), 6, "{pids}");
    for pid in pids.lines() {
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
    eventually(
        Duration::from_secs(10),
        "nothing of it is left",
        async || {
            let left = leftovers();
            anyhow::ensure!(left.is_empty(), "{left:?}");
            Ok(())
        },
    )
    .await
    .unwrap();
}
