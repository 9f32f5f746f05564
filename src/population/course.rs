//! What has moved the population since a process began, as totals at points in time: a bounded
//! course that always reaches back to its beginning and is the coarser the longer it is. Knows no
//! clock: it is called at even intervals. Kept by `metrics`.

use super::{Change, Effect};

/// Points that a course has at most, the newest included.
pub const POINTS_MAX: usize = 720;

/// The totals at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// In milliseconds since 1970.
    pub at_ms: i64,
    /// By [`Effect`], in the order of [`Effect::ALL`]; they never fall.
    pub totals: [Change; Effect::ALL.len()],
}

/// The points so far. Every `n_ticks_apart`-th tick leaves one; when there is no room every second
/// point goes and the distance doubles.
#[derive(Debug)]
pub struct Course {
    points: Vec<Point>,
    n_ticks_apart: u64,
    n_ticks: u64,
}

impl Course {
    /// Without a point.
    pub fn new() -> Self {
        Self { points: Vec::new(), n_ticks_apart: 1, n_ticks: 0 }
    }

    /// One interval has passed; these are the totals now.
    pub fn tick(&mut self, now: Point) {
        let tick = self.n_ticks;
        self.n_ticks += 1;
        // One place is the newest point's, which is taken when somebody asks.
        if tick.is_multiple_of(self.n_ticks_apart) && self.points.len() + 1 == POINTS_MAX {
            let mut is_kept = false;
            self.points.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.n_ticks_apart *= 2;
        }
        if tick.is_multiple_of(self.n_ticks_apart) {
            self.points.push(now);
        }
    }

    /// The course up to now, oldest first.
    pub fn until(&self, now: Point) -> Vec<Point> {
        self.points.iter().copied().chain([now]).collect()
    }
}

impl Default for Course {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_ms: i64) -> Point {
        let total = Change { up_minor: at_ms.into(), down_minor: 0 };
        Point { at_ms, totals: [total; Effect::ALL.len()] }
    }

    /// The times of a course after so many ticks, asked half an interval later.
    fn times(n_ticks: i64) -> Vec<i64> {
        let mut course = Course::new();
        (0..n_ticks).for_each(|tick| course.tick(point(tick * 10)));
        course.until(point(n_ticks * 10 - 5)).iter().map(|point| point.at_ms).collect()
    }

    #[test]
    fn a_course_begins_at_the_first_tick_and_ends_now() {
        assert_eq!(times(0), [-5]);
        assert_eq!(times(3), [0, 10, 20, 25]);
    }

    #[test]
    fn a_course_that_is_full_gets_twice_as_coarse_and_never_longer() {
        let all = |n_ticks| (0..n_ticks).map(|tick| tick * 10).collect::<Vec<_>>();
        let full = times(719);
        assert_eq!((&full[..719], full.len()), (&*all(719), POINTS_MAX));
        let halved = times(720);
        assert_eq!(halved[..360], all(360).iter().map(|at| at * 2).collect::<Vec<_>>());
        assert_eq!(halved[360..], [7195]);
        let full_again = times(1438);
        assert_eq!((full_again.len(), full_again[718]), (POINTS_MAX, 14_360));
    }

    #[test]
    fn however_long_a_process_lives_its_course_is_even_and_whole() {
        for n_ticks in (1..20_000).step_by(97) {
            let times = times(n_ticks);
            let kept = &times[..times.len() - 1];
            let apart = kept.get(1).copied().unwrap_or(10);
            assert!(times.len() <= POINTS_MAX && kept[0] == 0, "{n_ticks}");
            assert!(kept.windows(2).all(|two| two[1] - two[0] == apart), "{n_ticks} {times:?}");
            assert!(n_ticks * 10 - kept[kept.len() - 1] <= apart, "{n_ticks} {times:?}");
            assert!(n_ticks < 720 || times.len() > POINTS_MAX / 2, "{n_ticks} {}", times.len());
        }
    }
}
