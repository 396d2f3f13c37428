//! Until when versions are supported (SEC 6, regular updates).

use jiff::civil::{Date, date};

/// End of support of Kubernetes minor versions: the last day of patch releases as the project
/// published it (release cadence: about fourteen months each).
const CLUSTER: &[(&str, Date)] = &[
    ("1.34", date(2026, 10, 27)),
    ("1.35", date(2027, 2, 28)),
    ("1.36", date(2027, 6, 28)),
    ("1.37", date(2027, 10, 28)),
];

/// Last day of support of a cluster version such as `1.37.2`; nothing where this build does not know it.
pub fn cluster_until(version: &str) -> Option<Date> {
    let minor: Vec<&str> = version.splitn(3, '.').take(2).collect();
    let minor = minor.join(".");
    CLUSTER
        .iter()
        .find(|(known, _)| *known == minor)
        .map(|(_, until)| *until)
}

/// Last day on which this release gets fixes: one year after it was made.
pub fn operator_until() -> Option<Date> {
    Some(date(2027, 11, 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_version_has_its_minors_date() {
        assert_eq!(cluster_until("1.37.2"), Some(date(2027, 10, 28)));
        assert_eq!(cluster_until("1.3"), None);
        assert_eq!(cluster_until("nonsense"), None);
    }
}
