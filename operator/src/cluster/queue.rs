//! Which tenants are due, and when: a queue of names, each worked on by one task at a time.
//!
//! kube's Controller looks every key up in a store of its own kind; a tenant whose CustomerTenant
//! has vanished must be reconciled all the same (promise 1), so the keys here are tenants' names.
//! The queue is bounded by the number of tenants: a name stands in it once.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Names that are due at an instant.
#[derive(Default)]
pub struct Queue {
    names: Mutex<Names>,
    changed: Notify,
}

#[derive(Default)]
struct Names {
    due: HashMap<String, Instant>,
    running: HashSet<String>,
}

impl Queue {
    /// An empty queue.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes `name` due now.
    pub fn wake(&self, name: &str) {
        self.wake_at(name, Instant::now());
    }

    /// Makes `name` due at `instant`, or earlier if it already was.
    pub fn wake_at(&self, name: &str, instant: Instant) {
        let mut names = self.lock();
        let slot = names.due.entry(name.to_owned()).or_insert(instant);
        if *slot > instant {
            *slot = instant;
        }
        drop(names);
        self.changed.notify_one();
    }

    /// How many names are due or will be.
    pub fn len(&self) -> usize {
        self.lock().due.len()
    }

    /// Whether `name` was due by `instant` and its work has not ended since.
    pub fn is_pending(&self, name: &str, instant: Instant) -> bool {
        let names = self.lock();
        names.running.contains(name) || names.due.get(name).is_some_and(|due| *due <= instant)
    }

    /// Whether no name is due or will be.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Works until `stop`: calls `work` for each due name, at most `concurrency` at once and never
    /// two for one name. `work` answers after how long the name is due again, if at all. Running
    /// work ends before this returns.
    pub async fn run<F, W>(self: Arc<Self>, concurrency: usize, stop: CancellationToken, work: F)
    where
        F: Fn(String) -> W,
        W: Future<Output = Option<Duration>> + Send + 'static,
    {
        let mut tasks: JoinSet<(String, Option<Duration>)> = JoinSet::new();
        while !stop.is_cancelled() {
            let next = if tasks.len() < concurrency {
                self.take()
            } else {
                Next::Wait(None)
            };
            let until = match next {
                Next::Due(name) => {
                    let work = work(name.clone());
                    tasks.spawn(async move { (name, work.await) });
                    continue;
                }
                Next::Wait(until) => until,
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.changed.notified() => {}
                () = sleep_until(until) => {}
                Some(ended) = tasks.join_next() => self.ended(ended),
            }
        }
        while let Some(ended) = tasks.join_next().await {
            self.ended(ended);
        }
    }

    fn ended(&self, ended: Result<(String, Option<Duration>), tokio::task::JoinError>) {
        match ended {
            Ok((name, again)) => {
                self.lock().running.remove(&name);
                if let Some(after) = again {
                    self.wake_at(&name, Instant::now() + after);
                }
            }
            // A panic in one reconcile would leave its name running for ever: it ends the process, the
            // platform restarts it, nothing is lost. What was cancelled is part of an end already.
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }

    fn take(&self) -> Next {
        let mut names = self.lock();
        let now = Instant::now();
        let waiting = names.due.iter();
        let Some((name, instant)) = waiting
            .filter(|(name, _)| !names.running.contains(*name))
            .min_by_key(|(_, at)| **at)
        else {
            return Next::Wait(None);
        };
        if *instant > now {
            return Next::Wait(Some(*instant));
        }
        let name = name.clone();
        names.due.remove(&name);
        names.running.insert(name.clone());
        Next::Due(name)
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next {
    Due(String),
    Wait(Option<Instant>),
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_name_is_never_worked_on_twice_at_once_and_no_wake_is_lost() {
        let queue = Queue::new();
        let stop = CancellationToken::new();
        let (now, most, total) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
        );
        queue.wake("acme");
        let run = {
            let (queue, stop, now, most, total) = (
                queue.clone(),
                stop.clone(),
                now.clone(),
                most.clone(),
                total.clone(),
            );
            tokio::spawn(async move {
                queue
                    .run(8, stop, move |_| {
                        let (now, most, total) = (now.clone(), most.clone(), total.clone());
                        async move {
                            most.fetch_max(
                                now.fetch_add(1, Ordering::SeqCst) + 1,
                                Ordering::SeqCst,
                            );
                            tokio::time::sleep(Duration::from_millis(50)).await;
                            now.fetch_sub(1, Ordering::SeqCst);
                            total.fetch_add(1, Ordering::SeqCst);
                            None
                        }
                    })
                    .await;
            })
        };
        tokio::time::sleep(Duration::from_millis(10)).await;
        queue.wake("acme");
        queue.wake("acme");
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.cancel();
        run.await.unwrap();
        assert_eq!(most.load(Ordering::SeqCst), 1);
        assert_eq!(
            total.load(Ordering::SeqCst),
            2,
            "the wake during the first run must cause exactly one more"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_comes_back_after_the_time_its_work_asked_for() {
        let queue = Queue::new();
        let stop = CancellationToken::new();
        let count = Arc::new(AtomicUsize::new(0));
        queue.wake("acme");
        let run = {
            let (queue, stop, count) = (queue.clone(), stop.clone(), count.clone());
            tokio::spawn(async move {
                queue
                    .run(1, stop, move |_| {
                        count.fetch_add(1, Ordering::SeqCst);
                        async { Some(Duration::from_secs(60)) }
                    })
                    .await;
            })
        };
        tokio::time::sleep(Duration::from_secs(121)).await;
        stop.cancel();
        run.await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 3);
    }
}
