//! Kubernetes quantities (`500m`, `8Gi`, `1e3`): read exactly, so that they can be compared.

use std::fmt;

/// An amount, exact to one billionth of a unit. Negative amounts do not parse: nothing here is owed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Quantity {
    nanos: i128,
}

/// Why a text is not a quantity.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QuantityError {
    /// Not digits with at most one point, followed by a known suffix.
    #[error("is not a quantity such as 4, 500m or 8Gi")]
    Shape,
    /// Below zero.
    #[error("is negative")]
    Negative,
    /// More than 2^63 units, or finer than one billionth.
    #[error("is out of range")]
    Range,
}

const NANO: i128 = 1_000_000_000;
/// The API server caps quantities at 2^63-1; what is above is nonsense, not capacity.
const MOST: i128 = i64::MAX as i128 * NANO;

impl Quantity {
    /// Reads a quantity as the API server writes it.
    ///
    /// # Errors
    /// Where the text is no quantity, is negative or is out of range.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        if text.starts_with('-') {
            return Err(QuantityError::Negative);
        }
        let text = text.strip_prefix('+').unwrap_or(text);
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(QuantityError::Shape);
        }
        let digits: i128 = format!("{whole}{fraction}")
            .parse()
            .map_err(|_| QuantityError::Range)?;
        let (times, exponent) = scale(suffix).ok_or(QuantityError::Shape)?;
        let places = i32::try_from(fraction.len()).map_err(|_| QuantityError::Range)?;
        let nanos = digits
            .checked_mul(times)
            .and_then(|n| shift(n, exponent - places + 9))
            .filter(|n| *n <= MOST)
            .ok_or(QuantityError::Range)?;
        Ok(Self { nanos })
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }
}

impl fmt::Display for Quantity {
    /// As a plain decimal number of units.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, rest) = (self.nanos / NANO, self.nanos % NANO);
        if rest == 0 {
            return write!(out, "{units}");
        }
        let rest = format!("{rest:09}");
        write!(out, "{units}.{}", rest.trim_end_matches('0'))
    }
}

/// Factor and power of ten of a suffix.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let binary = |power: u32| (1i128 << (10 * power), 0);
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let exponent: i32 = exponent.parse().ok()?;
            (1, exponent.clamp(-100, 100))
        }
    })
}

fn shift(number: i128, power: i32) -> Option<i128> {
    if number == 0 {
        return Some(0);
    }
    let ten = 10i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 {
        return number.checked_mul(ten);
    }
    (number % ten == 0).then(|| number / ten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_the_api_server_reads_them() {
        let check = |text: &str, expect: Result<&str, QuantityError>| {
            let got = Quantity::parse(text).map(|q| q.to_string());
            assert_eq!(got, expect.map(String::from), "{text}");
        };
        check("4", Ok("4"));
        check("500m", Ok("0.5"));
        check("3u", Ok("0.000003"));
        check("2k", Ok("2000"));
        check("2Ki", Ok("2048"));
        check("2M", Ok("2000000"));
        check("2Mi", Ok("2097152"));
        check("2Ti", Ok("2199023255552"));
        check("1Ei", Ok("1152921504606846976"));
        check("8Gi", Ok("8589934592"));
        check("1.5Gi", Ok("1610612736"));
        check(".5", Ok("0.5"));
        check("5.", Ok("5"));
        check("1e3", Ok("1000"));
        check("12E", Err(QuantityError::Range));
        check("1E", Ok("1000000000000000000"));
        check("0", Ok("0"));
        check("1n", Ok("0.000000001"));
        check("-1", Err(QuantityError::Negative));
        check("", Err(QuantityError::Shape));
        check(".", Err(QuantityError::Shape));
        check("1.2.3", Err(QuantityError::Shape));
        check("lots", Err(QuantityError::Shape));
        check("4 Gi", Err(QuantityError::Shape));
        check("4gi", Err(QuantityError::Shape));
        check("1e", Err(QuantityError::Shape));
        check("0.1n", Err(QuantityError::Range));
        check(
            "99999999999999999999999999999999999999999",
            Err(QuantityError::Range),
        );
        check("1e99", Err(QuantityError::Range));
    }

    #[test]
    fn the_same_amount_in_other_words_is_equal() {
        assert_eq!(Quantity::parse("1000m"), Quantity::parse("1"));
        assert!(Quantity::parse("1Gi").unwrap() > Quantity::parse("1G").unwrap());
    }
}
