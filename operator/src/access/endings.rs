//! Who may not be let in any more goes first: while what lets them in is being deleted, nothing else is done for grants that can
//! wait. When thousands end at one instant, the API server would otherwise spend that time on what is said of them.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Once deletions were under way for so long, nobody waits for them: what does not come to an end must not keep everything else from
/// being done.
const LONGEST: Duration = Duration::from_secs(60);

/// Deletions that are under way.
pub struct Endings(watch::Sender<State>);

#[derive(Clone, Copy)]
struct State {
    /// Of how many tenants.
    under_way: usize,
    /// Since when there were any.
    since: Instant,
}

/// Deletions of one tenant that are under way.
pub struct UnderWay<'a>(&'a Endings);

impl Default for Endings {
    fn default() -> Self {
        Self(watch::Sender::new(State {
            under_way: 0,
            since: Instant::now(),
        }))
    }
}

impl Endings {
    /// Deletions are under way until what this answers is dropped.
    pub fn begin(&self) -> UnderWay<'_> {
        self.0.send_modify(|state| {
            if state.under_way == 0 {
                state.since = Instant::now();
            }
            state.under_way += 1;
        });
        UnderWay(self)
    }

    /// Waits until none is, as long as may be. To be called before what is then done is looked up.
    pub async fn give_way(&self) {
        let mut state = self.0.subscribe();
        let longest = state.borrow().since + LONGEST;
        // Its sender lives as long as self.
        let _ = timeout_at(longest, state.wait_for(|state| state.under_way == 0)).await;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.under_way -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_can_wait_waits_for_the_last_deletion() {
        let endings = Endings::default();
        assert!(endings.give_way().now_or_never().is_some());
        let (one, other) = (endings.begin(), endings.begin());
        drop(one);
        assert!(endings.give_way().now_or_never().is_none());
        drop(other);
        assert!(endings.give_way().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let endings = Endings::default();
        let _stuck = endings.begin();
        endings.give_way().await;
        // Whoever comes later waits no more.
        assert!(endings.give_way().now_or_never().is_some());
    }
}
