use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn candidate(pod: &str, process: &str) -> Candidate {
    Candidate {
        pod: pod.into(),
        process: process.into(),
    }
}

fn lease(holder: &str, seconds: i32) -> Lease {
    Lease {
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(seconds),
            // Hours off: nobody reads it.
            renew_time: Some(MicroTime(Timestamp::MIN)),
            ..LeaseSpec::default()
        }),
        ..Lease::default()
    }
}

#[test]
fn candidate_takes_what_is_free_its_own_or_its_pods() {
    let me = candidate("tenure-0", "b");
    let zero = Duration::ZERO;
    assert_eq!(next(None, &me, zero), Next::Create);
    assert_eq!(next(Some(&Lease::default()), &me, zero), Next::Write);
    assert_eq!(next(Some(&lease("", 15)), &me, zero), Next::Write);
    assert_eq!(next(Some(&lease("tenure-0_b", 15)), &me, zero), Next::Write);
    assert_eq!(next(Some(&lease("tenure-0_a", 15)), &me, zero), Next::Write);
    for other in ["tenure-1_b", "tenure-0", "tenure-00_a", "b"] {
        assert_eq!(
            next(Some(&lease(other, 15)), &me, zero),
            Next::Wait(LOOK),
            "{other}"
        );
    }
}

#[test]
fn candidate_waits_out_the_lease_as_it_saw_it_itself() {
    let me = candidate("tenure-0", "b");
    let held = lease("tenure-1_a", 15);
    let after = |millis| next(Some(&held), &me, Duration::from_millis(millis));
    assert_eq!(after(0), Next::Wait(LOOK));
    assert_eq!(after(14_900), Next::Wait(Duration::from_millis(100)));
    assert_eq!(after(15_000), Next::Write);
    assert_eq!(after(99_000), Next::Write);
}

#[test]
fn lease_counts_terms_and_keeps_what_others_wrote() {
    let (me, now) = (candidate("tenure-0", "b"), Timestamp::UNIX_EPOCH);
    let mut before = lease("tenure-1_a", 15);
    before.metadata.resource_version = Some("7".into());
    let taken = held(Some(before), &me, now);
    assert_eq!(taken.metadata.resource_version.as_deref(), Some("7"));
    let spec = taken.spec.clone().unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some("tenure-0_b"));
    assert_eq!(spec.lease_transitions, Some(1));
    let renewed = held(Some(taken), &me, now).spec.unwrap();
    assert_eq!(renewed.lease_transitions, Some(1));
    assert_eq!(renewed.acquire_time, spec.acquire_time);
}

#[test]
fn lease_older_than_one_seen_before_ends_the_term() {
    let newest = Newest::default();
    let seen = |version: &str| {
        let mut lease = lease("tenure-0_b", 15);
        lease.metadata.resource_version = Some(version.into());
        newest.note(&lease)
    };
    for version in ["9", "10", "10", "4503599627370497", "not a number"] {
        seen(version).unwrap();
    }
    let lost = seen("4503599627370496").unwrap_err().to_string();
    assert!(lost.contains("a backup was restored"), "{lost}");
}

/// A client of an API server that answers while `up` says so, and knows no Lease.
fn answering(up: &Arc<AtomicBool>) -> Client {
    let up = up.clone();
    let server = service_fn(move |_: Request<Body>| {
        let up = up.load(Ordering::SeqCst);
        async move {
            let unknown =
                json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404});
            let answer = http::Response::builder().status(404);
            let answer = answer.body(Body::from(unknown.to_string().into_bytes()));
            if up {
                Ok(answer.unwrap())
            } else {
                Err("nobody is there")
            }
        }
    });
    Client::new(server, "tenure")
}

#[tokio::test]
async fn whoever_did_not_see_the_lease_for_as_long_as_it_holds_begins_anew() {
    let up = Arc::new(AtomicBool::new(false));
    let standby = Election::new(answering(&up), "tenure", candidate("tenure-1", "a"));
    let ago = |seconds: u64| Instant::now().checked_sub(Duration::from_secs(seconds));
    let looked = |when: Option<Instant>| *standby.looked.lock().unwrap() = when;
    // Who has read nothing yet can wait for as long as it takes.
    assert!(matches!(standby.look().await, Err(Setback::Failed(_))));
    looked(ago(LEASE.as_secs() - 2));
    assert!(matches!(standby.look().await, Err(Setback::Failed(_))));
    looked(ago(LEASE.as_secs()));
    let lost = standby.win().await.unwrap_err().to_string();
    assert!(lost.contains("was not seen for 15 s"), "{lost}");
    // That it can be seen again says nothing of the time between.
    up.store(true, Ordering::SeqCst);
    let lost = standby.older().await.to_string();
    assert!(lost.contains("was not seen for 1"), "{lost}");
    assert!(standby.look().await.unwrap().is_none());
    up.store(false, Ordering::SeqCst);
    assert!(matches!(standby.look().await, Err(Setback::Failed(_))));
}

#[tokio::test]
async fn fence_lets_reads_pass_and_stops_every_write_without_a_claim() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let server = service_fn(move |_: Request<Body>| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Infallible>(http::Response::new(Body::empty())) }
    });
    let claim = Claim::default();
    let client = claim.fence(Client::new(server, "default"));
    let ask = async |method: Method| {
        let request = Request::builder().method(method).uri("/api/v1/x");
        client.send(request.body(Body::empty()).unwrap()).await
    };
    ask(Method::GET).await.unwrap();
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let refused = ask(method.clone()).await.unwrap_err().to_string();
        assert!(refused.contains("not the leader"), "{method}: {refused}");
    }
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    claim.extend(Instant::now());
    ask(Method::PUT).await.unwrap();
    claim.end();
    ask(Method::PUT).await.unwrap_err();
    assert_eq!(sent.load(Ordering::SeqCst), 2);
}

/// One process in the model: what it knows, and until when it may write.
struct Model {
    me: Candidate,
    seen: (Option<u64>, Duration),
    until: Duration,
}

proptest! {
    /// Whoever is paused, for however long, between looking and writing: no two may write at once.
    #[test]
    fn two_never_hold_a_claim_at_once(steps in prop::collection::vec((0..3_usize, 0..9_000_u64, 0..20_000_u64), 1..200)) {
        let mut now = Duration::ZERO;
        let mut stored: Option<(u64, Lease)> = None;
        let mut processes: Vec<Model> = (0..3)
            .map(|index| Model { me: candidate(&format!("tenure-{index}"), "x"), seen: (None, Duration::ZERO), until: Duration::ZERO })
            .collect();
        for (index, idle, pause) in steps {
            now += Duration::from_millis(idle);
            let looked = stored.clone();
            let process = &mut processes[index];
            let version = looked.as_ref().map(|(version, _)| *version);
            if process.seen.0 != version {
                process.seen = (version, now);
            }
            let asked = now;
            let decision = next(looked.as_ref().map(|(_, lease)| lease), &process.me, now - process.seen.1);
            // It is paused before its request goes out; the store may not change meanwhile in this model, for one
            // step is one process's: a changed store would refuse the write.
            now += Duration::from_millis(pause);
            if !matches!(decision, Next::Wait(_)) {
                let lease = held(looked.map(|(_, lease)| lease), &process.me, Timestamp::UNIX_EPOCH);
                stored = Some((version.unwrap_or_default() + 1, lease));
                process.until = asked + CLAIM;
            }
            let writers: Vec<_> = processes.iter().filter(|process| now < process.until).map(|process| &process.me.pod).collect();
            prop_assert!(writers.len() <= 1, "{writers:?} at {now:?}");
        }
    }
}
