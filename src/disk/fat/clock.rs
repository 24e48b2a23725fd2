//! The one time that is given to all that is written.

use std::cell::Cell;

use fatfs::{Date, DateTime, Time, TimeProvider};

/// 1980-01-01, where FAT's range begins, in seconds since 1970; it ends in 2107, behind that of `u32`.
const FIRST: u32 = 315_532_800;
const DAY: u32 = 86_400;

thread_local! {
    static NOW: Cell<u32> = const { Cell::new(FIRST) };
}

/// fatfs takes a clock for the life of the process and uses it in the thread that calls it.
#[derive(Debug)]
pub(super) struct FixedClock;

pub(super) static CLOCK: FixedClock = FixedClock;

impl FixedClock {
    /// Sets this thread's time, in seconds since 1970, UTC; what is before FAT's range becomes its beginning.
    pub(super) fn set(stamp: u32) {
        NOW.set(stamp.max(FIRST));
    }
}

impl TimeProvider for FixedClock {
    fn get_current_date(&self) -> Date {
        self.get_current_date_time().date
    }

    fn get_current_date_time(&self) -> DateTime {
        date_time(NOW.get())
    }
}

fn date_time(stamp: u32) -> DateTime {
    let (days, seconds) = (stamp / DAY, stamp % DAY);
    let small = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    let (year, month, day) = date(days);
    DateTime {
        date: Date { year: small(year), month: small(month), day: small(day) },
        time: Time {
            hour: small(seconds / 3600),
            min: small(seconds / 60 % 60),
            // The odd second would go into a field that only creation times have.
            sec: small((seconds % 60) & !1),
            millis: 0,
        },
    }
}

/// Year, month and day of a day since 1970-01-01: Hinnant's `civil_from_days`, without negative years.
fn date(days: u32) -> (u32, u32, u32) {
    // Counted from 0000-03-01, so that leap days come last in their year.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u32::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar_within_the_range_of_fat() {
        let at = |stamp| {
            FixedClock::set(stamp);
            let DateTime { date, time } = CLOCK.get_current_date_time();
            (date.year, date.month, date.day, time.hour, time.min, time.sec)
        };
        assert_eq!(at(0), (1980, 1, 1, 0, 0, 0));
        assert_eq!(at(951_782_400), (2000, 2, 29, 0, 0, 0));
        assert_eq!(at(1_699_488_000 + 12 * 3600 + 34 * 60 + 57), (2023, 11, 9, 12, 34, 56));
        assert_eq!(at(1_709_251_199), (2024, 2, 29, 23, 59, 58));
        assert_eq!(at(u32::MAX), (2106, 2, 7, 6, 28, 14));
    }
}
