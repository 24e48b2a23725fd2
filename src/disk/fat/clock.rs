//! The time that fatfs gives to everything it writes.

use std::cell::Cell;
use std::time::Duration;

use fatfs::{Date, DateTime, Time, TimeProvider};
use time::UtcDateTime;

/// 1980-01-01, the beginning of FAT's range, in seconds since 1970. The range ends in 2107, after that of `u32`.
const FIRST: u32 = 315_532_800;

thread_local! {
    static NOW: Cell<u32> = const { Cell::new(FIRST) };
}

/// fatfs wants a clock of static lifetime and asks it in the thread that calls fatfs.
#[derive(Debug)]
pub(super) struct FixedClock;

pub(super) static CLOCK: FixedClock = FixedClock;

impl FixedClock {
    /// Sets this thread's time, in seconds since 1970, UTC; a time before FAT's range becomes its beginning.
    pub(super) fn set(stamp: u32) {
        NOW.set(stamp.max(FIRST));
    }
}

impl TimeProvider for FixedClock {
    fn get_current_date(&self) -> Date {
        self.get_current_date_time().date
    }

    fn get_current_date_time(&self) -> DateTime {
        let now = UtcDateTime::UNIX_EPOCH + Duration::from_secs(NOW.get().into());
        DateTime {
            date: Date {
                year: u16::try_from(now.year()).unwrap_or(u16::MAX),
                month: u8::from(now.month()).into(),
                day: now.day().into(),
            },
            time: Time {
                hour: now.hour().into(),
                min: now.minute().into(),
                // Only creation times have a field for the odd second.
                sec: u16::from(now.second()) & !1,
                millis: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_calendar_utc_within_the_range_of_fat() {
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
