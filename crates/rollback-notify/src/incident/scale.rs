//! Where a moment stands in a picture.

use jiff::Timestamp;

/// Places moments from left to right. One pause that is longer than all the rest is drawn shorter than it was.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    left: f64,
    width: f64,
    /// The long pause: when it begins and ends, and as how many seconds it is drawn.
    pause: Option<(f64, f64, f64)>,
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

impl Scale {
    /// For all these moments; `None` where there are none.
    pub(super) fn of(moments: impl IntoIterator<Item = Timestamp>, left: f64, width: f64) -> Option<Self> {
        let mut moments: Vec<f64> = moments.into_iter().map(seconds).collect();
        moments.sort_by(f64::total_cmp);
        let (from, to) = (*moments.first()?, *moments.last()?);
        let gaps = moments.windows(2).map(|pair| (pair[0], pair[1]));
        let widest = gaps.max_by(|one, other| f64::total_cmp(&(one.1 - one.0), &(other.1 - other.0)));
        let pause = widest.and_then(|(begin, end)| {
            let rest = (to - from) - (end - begin);
            (rest > 0.0 && end - begin > 2.0 * rest).then_some((begin, end, rest * 0.25))
        });
        Some(Self { from, to, left, width, pause })
    }

    /// How far right it stands; never outside of the picture.
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let whole = self.drawn(self.to);
        let share = if whole > 0.0 { self.drawn(seconds(at)) / whole } else { 0.5 };
        self.left + self.width * share.clamp(0.0, 1.0)
    }

    /// Seconds from the left, as they are drawn.
    fn drawn(&self, at: f64) -> f64 {
        match self.pause {
            None => at - self.from,
            Some((begin, _, _)) if at <= begin => at - self.from,
            Some((begin, end, drawn)) if at < end => begin - self.from + drawn * (at - begin) / (end - begin),
            Some((begin, end, drawn)) => begin - self.from + drawn + (at - end),
        }
    }

    /// The middle of the pause that is drawn shorter, and its length in seconds.
    pub(super) fn broken(&self) -> Option<(f64, f64)> {
        let (begin, end, drawn) = self.pause?;
        let middle = begin - self.from + drawn / 2.0;
        Some((self.left + self.width * middle / self.drawn(self.to), end - begin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn scale(seconds: &[i64]) -> Scale {
        Scale::of(seconds.iter().copied().map(at), 0.0, 100.0).unwrap()
    }

    #[test]
    fn moments_stand_in_their_order() {
        let even = scale(&[0, 50, 100]);
        assert_eq!((even.x(at(0)), even.x(at(25)), even.x(at(100))), (0.0, 25.0, 100.0));
        assert_eq!((even.x(at(-10)), even.x(at(110))), (0.0, 100.0));
        assert_eq!(even.broken(), None);
        assert_eq!(scale(&[7]).x(at(7)), 50.0);
        assert!(Scale::of([], 0.0, 1.0).is_none());
    }

    #[test]
    fn a_long_pause_leaves_room_for_the_rest() {
        let scale = scale(&[0, 7_200, 7_260, 7_300]);
        assert!(scale.x(at(7_200)) < 25.0 && scale.x(at(7_300)) == 100.0);
        assert!(scale.x(at(3_600)) < scale.x(at(7_200)) && scale.x(at(7_200)) < scale.x(at(7_260)));
        assert_eq!(scale.broken().map(|(_, seconds)| seconds), Some(7_200.0));
    }
}
