//! Windows, as people write them.

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, Unit};

/// `4h`, `90m`, `2h 30m`, `PT4H`, `2d`: longer than nothing.
pub fn span(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("{text:?} is no length of time: write 4h, 90m or 2d");
    let span: Span = text.parse().map_err(|_| wrong())?;
    let is_calendar = span.get_months() != 0 || span.get_years() != 0;
    let length = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wrong())?;
    if is_calendar || length <= SignedDuration::ZERO {
        return Err(wrong());
    }
    Ok(length)
}

/// When it ends: so long after its start (now, where it has none), or at an instant.
pub fn end(
    now: Timestamp,
    from: Option<Timestamp>,
    length: Option<SignedDuration>,
    until: Option<Timestamp>,
) -> anyhow::Result<Timestamp> {
    let start = from.unwrap_or(now);
    let end = match (length, until) {
        (Some(length), _) => start.checked_add(length).context("--for is too long")?,
        (None, until) => until.context("say when it ends: --for 4h, or --until INSTANT")?,
    };
    ensure!(
        end > start,
        "it would end at {} and start at {}: give a later --until",
        text(end),
        text(start)
    );
    ensure!(
        end > now,
        "it would have ended at {} already: give a later --until",
        text(end)
    );
    Ok(end)
}

/// An instant as it stands in a spec, to the second.
pub fn text(at: Timestamp) -> String {
    at.round(Unit::Second)
        .unwrap_or(at)
        .strftime("%FT%TZ")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn lengths_are_read_as_people_write_them() {
        let hours = |hours| Ok(SignedDuration::from_hours(hours));
        assert_eq!(span("4h"), hours(4));
        assert_eq!(span("PT4H"), hours(4));
        assert_eq!(span("2d"), hours(48));
        assert_eq!(span("90m"), Ok(SignedDuration::from_mins(90)));
        for wrong in ["", "4", "0h", "-4h", "1y", "1mo", "soon"] {
            assert!(
                span(wrong).unwrap_err().contains("4h, 90m or 2d"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_window_ends_after_its_start_and_after_now() {
        let now = at("2026-02-01T08:00:00.7Z");
        let length = |text| Some(span(text).unwrap());
        let ends = |from, length, until| end(now, from, length, until).map(text);
        assert_eq!(
            ends(None, length("4h"), None).unwrap(),
            "2026-02-01T12:00:01Z"
        );
        let from = Some(at("2026-02-02T08:00:00+01:00"));
        assert_eq!(
            ends(from, length("1h"), None).unwrap(),
            "2026-02-02T08:00:00Z"
        );
        let until = Some(at("2026-02-01T09:00:00+01:00"));
        for (from, until, why) in [
            (None, None, "say when it ends"),
            (None, until, "give a later --until"),
            (from, Some(at("2026-02-02T07:00:01Z")), ""),
            (
                Some(at("2026-01-01T00:00:00Z")),
                Some(at("2026-01-02T00:00:00Z")),
                "already",
            ),
            (
                from,
                Some(at("2026-02-02T06:59:59Z")),
                "give a later --until",
            ),
        ] {
            let told = ends(from, None, until).err().map(|error| error.to_string());
            assert_eq!(told.is_none(), why.is_empty(), "{told:?}");
            assert!(told.unwrap_or_default().contains(why));
        }
    }
}
