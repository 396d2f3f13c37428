//! Sets of whole numbers as sorted ranges that neither overlap nor touch: ports, and addresses.

/// A number with a first, a last and neighbours.
pub(super) trait Number: Copy + Ord {
    const FIRST: Self;
    const LAST: Self;
    fn next(self) -> Option<Self>;
    fn previous(self) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {
            const FIRST: Self = Self::MIN;
            const LAST: Self = Self::MAX;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}

numbers!(u16, u32, u128);

/// A set of numbers; both ends of a range belong to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Ranges<T>(Vec<(T, T)>);

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Number> Ranges<T> {
    pub(super) fn all() -> Self {
        Self(vec![(T::FIRST, T::LAST)])
    }

    /// The numbers of any of these ranges; one that is upside down holds none.
    pub(super) fn of(ranges: impl IntoIterator<Item = (T, T)>) -> Self {
        let mut ranges: Vec<(T, T)> = ranges
            .into_iter()
            .filter(|(first, last)| first <= last)
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(known) if known.1.next().is_none_or(|after| first <= after) => {
                    known.1 = known.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_all(&self) -> bool {
        self.0 == [(T::FIRST, T::LAST)]
    }

    pub(super) fn contains(&self, number: T) -> bool {
        let after = self.0.partition_point(|&(first, _)| first <= number);
        after > 0 && number <= self.0[after - 1].1
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self::of(self.iter().chain(other.iter()))
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.iter().peekable(), other.iter().peekable());
        let mut common = Vec::new();
        while let (Some(&(a, b)), Some(&(c, d))) = (left.peek(), right.peek()) {
            if a.max(c) <= b.min(d) {
                common.push((a.max(c), b.min(d)));
            }
            if b < d {
                left.next();
            } else {
                right.next();
            }
        }
        Self(common)
    }

    pub(super) fn without(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }

    fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut from = Some(T::FIRST);
        for (first, last) in self.iter() {
            gaps.extend(from.zip(first.previous()).filter(|(from, to)| from <= to));
            from = last.next();
        }
        gaps.extend(from.map(|from| (from, T::LAST)));
        Self(gaps)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (T, T)> {
        self.0.iter().copied()
    }
}
