//! Instants as people write them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Reads an RFC 3339 instant, or a day, which stands for its first instant in UTC.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    // A time without its zone is no instant, and must not pass for a day.
    let day = (text.len() == "2026-01-31".len()).then(|| text.parse::<Date>());
    day.and_then(Result::ok)
        .and_then(|day| day.to_zoned(TimeZone::UTC).ok())
        .map(|start| start.timestamp())
        .ok_or_else(|| "an instant is 2026-01-31T12:00:00Z, or a day: 2026-01-31".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_days_are_read_and_nothing_else() {
        let noon: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(parse("2026-01-31T13:00:00+01:00"), Ok(noon));
        assert_eq!(
            parse("2026-01-31").unwrap().to_string(),
            "2026-01-31T00:00:00Z"
        );
        for wrong in [
            "",
            "yesterday",
            "2026-02-31",
            "2026-01-31T12:00:00",
            "12:00",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
