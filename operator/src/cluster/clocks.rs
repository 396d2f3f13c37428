//! What time it is, by this machine and by the API server (DSA 2.4): a clock that was set lets nobody stay longer, and nobody in
//! earlier. Every answer of the API server says when it was given; between two answers the monotonic clock counts on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::Request;
use http::header::{DATE, HeaderMap};
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use tower::{BoxError, service_fn};

/// Clocks that are no further apart agree: the API server says whole seconds, and its answers travel.
pub const AGREED: SignedDuration = SignedDuration::from_secs(5);

/// This machine's clock beside the API server's.
#[derive(Clone, Default)]
pub struct Clocks(Arc<Mutex<Option<Heard>>>);

/// What the API server last said, and when on the monotonic clock.
#[derive(Clone, Copy)]
struct Heard {
    said: Timestamp,
    at: Instant,
}

/// An instant, as far as it is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moment {
    /// By the clock that is ahead: what ends, ends by this one.
    pub now: Timestamp,
    /// How far the other one is behind: what begins, begins by that one. Zero where they agree.
    pub behind: SignedDuration,
}

impl Clocks {
    /// A client through which they hear what the API server answers.
    pub fn listening(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let heard = self.clone();
        let ear = service_fn(move |request: Request<Body>| {
            let (clocks, client) = (heard.clone(), client.clone());
            async move {
                let response = client.send(request).await?;
                clocks.hear(response.headers(), Instant::now());
                Ok::<_, BoxError>(response)
            }
        });
        Client::new(ear, namespace)
    }

    /// Now.
    pub fn moment(&self) -> Moment {
        let own = Timestamp::now();
        self.ahead_at(own, Instant::now()).map_or(
            Moment {
                now: own,
                behind: SignedDuration::ZERO,
            },
            |ahead| between(own, ahead),
        )
    }

    /// By how much this machine's clock is ahead of the API server's; negative where it is behind, and nothing before the first
    /// answer.
    pub fn ahead(&self) -> Option<SignedDuration> {
        self.ahead_at(Timestamp::now(), Instant::now())
    }

    fn ahead_at(&self, own: Timestamp, at: Instant) -> Option<SignedDuration> {
        let heard = (*self.lock())?;
        let since = SignedDuration::try_from(at.saturating_duration_since(heard.at)).ok()?;
        let theirs = heard.said.checked_add(since).ok()?;
        Some(own.duration_since(theirs))
    }

    fn hear(&self, headers: &HeaderMap, at: Instant) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let said = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        // What cannot be read says nothing new.
        if let Some(said) = said {
            *self.lock() = Some(Heard { said, at });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn between(own: Timestamp, ahead: SignedDuration) -> Moment {
    if ahead.abs() <= AGREED {
        return Moment {
            now: own,
            behind: SignedDuration::ZERO,
        };
    }
    let theirs = own.checked_sub(ahead).unwrap_or(own);
    Moment {
        now: own.max(theirs),
        behind: ahead.abs(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SAID: &str = "Fri, 27 Nov 2026 17:13:57 GMT";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn heard(date: &'static str) -> (Clocks, Instant) {
        let (clocks, instant) = (Clocks::default(), Instant::now());
        let headers = HeaderMap::from_iter([(DATE, date.parse().unwrap())]);
        clocks.hear(&headers, instant);
        (clocks, instant)
    }

    /// What is now where this machine says `own`, ten minutes after the API server spoke.
    fn later(own: &str) -> (String, i64) {
        let (clocks, instant) = heard(SAID);
        let ahead = clocks.ahead_at(at(own), instant + Duration::from_secs(600));
        let moment = between(at(own), ahead.unwrap());
        (moment.now.to_string(), moment.behind.as_secs())
    }

    #[test]
    fn what_agrees_is_this_machines() {
        for own in [
            "2026-11-27T17:23:57.25Z",
            "2026-11-27T17:24:02Z",
            "2026-11-27T17:23:52Z",
        ] {
            assert_eq!(later(own), (own.to_owned(), 0));
        }
    }

    #[test]
    fn an_end_is_by_the_clock_ahead_and_a_beginning_by_the_other() {
        // This machine's was set back by an hour, and ahead by one.
        assert_eq!(
            later("2026-11-27T16:23:57Z"),
            ("2026-11-27T17:23:57Z".to_owned(), 3600)
        );
        assert_eq!(
            later("2026-11-27T18:23:57Z"),
            ("2026-11-27T18:23:57Z".to_owned(), 3600)
        );
    }

    #[test]
    fn without_an_answer_that_can_be_read_it_is_this_machines() {
        for date in ["", "yesterday", "Fri, 99 Nov 2026 17:13:57 GMT"] {
            let (clocks, _) = heard(date);
            assert_eq!(clocks.ahead(), None, "{date}");
            assert_eq!(clocks.moment().behind, SignedDuration::ZERO);
        }
        let (clocks, _) = heard(SAID);
        clocks.hear(&HeaderMap::new(), Instant::now());
        assert!(clocks.ahead().is_some(), "what was said stands");
    }
}
